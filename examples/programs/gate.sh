#!/bin/sh
# A gate for Hone in shell and awk: it sends back pictures of generator.sh that
# are all of one grey.
#
#     hone serve --gate-cmd grey="sh examples/programs/gate.sh"     # gates: [grey]
#     hone gate check sh examples/programs/gate.sh
#
# program/PROTOCOL.md is what it keeps to.
export LC_ALL=C

judge='
{
	match($0, /"dir":"[^"]*"/)
	dir = substr($0, RSTART + 7, RLENGTH - 8)
	n = split($0, part, /[{]"index":/)
	for (i = 2; i <= n; i++) {
		number = part[i] + 0
		if (!match(part[i], /"image.pgm":"[^"]*"/)) {
			verdict(number, "false", ",\"reason\":\"there is no image.pgm\"")
			continue
		}
		contrast = look(dir "/" substr(part[i], RSTART + 13, RLENGTH - 14))
		if (contrast < 4)
			verdict(number, "false", sprintf(",\"reason\":\"blank: it spans %d levels, at least 4 are needed\",\"scores\":{\"contrast\":%d}", contrast, contrast))
		else
			verdict(number, "true", sprintf(",\"scores\":{\"contrast\":%d}", contrast))
	}
	printf "{\"type\":\"done\",\"samples\":%d}\n", n - 1
}

function verdict(number, accepted, rest) {
	printf "{\"type\":\"verdict\",\"index\":%.0f,\"accepted\":%s%s}\n", number, accepted, rest
}

# look is how many levels lie between the darkest and the brightest pixel.
function look(file,    row, pixel, k, i, line, low, high) {
	low = 255; high = 0
	for (row = 0; (getline line < file) > 0; row++) {
		if (row < 3) continue # P2, the size, the brightest level
		k = split(line, pixel, " ")
		for (i = 1; i <= k; i++) {
			if (pixel[i] + 0 < low) low = pixel[i] + 0
			if (pixel[i] + 0 > high) high = pixel[i] + 0
		}
	}
	close(file)
	return high < low ? 0 : high - low
}'

while IFS= read -r line; do
	case $line in
	'{"type":"describe"'*)
		echo '{"type":"description","protocol":1,"version":"1","scores":["contrast"]}'
		;;
	'{"type":"judge"'*)
		printf '%s\n' "$line" | awk "$judge" || echo '{"type":"failed","error":"awk failed"}'
		;;
	esac
done
