#!/bin/sh
# A generator for Hone in shell and awk: small grey pictures with some noise,
# bright by day and dark where a factor "light" is "low". It runs with any space:
#
#     hone work --generator-cmd grey="sh examples/programs/generator.sh"
#     hone generator check sh examples/programs/generator.sh
#
# program/PROTOCOL.md is what it keeps to. Hone writes one message a line, with
# the keys in the order of that page, so that awk can find them.
export LC_ALL=C

make='
{
	match($0, /"dir":"[^"]*"/)
	dir = substr($0, RSTART + 7, RLENGTH - 8)
	n = split($0, part, /[{]"index":/)
	for (i = 2; i <= n; i++) {
		number = part[i] + 0
		match(part[i], /"seed":"[0-9]*"/)
		seed = substr(part[i], RSTART + 8, RLENGTH - 9)
		from = index(part[i], "\"scenario\":") + 11
		scenario = substr(part[i], from, index(part[i], ",\"levels\":{") - from)
		draw(dir "/" number ".pgm", seed, scenario ~ /"light":"low"/ ? 60 : 200)
		print scenario > (dir "/" number ".json")
		close(dir "/" number ".json")
		printf "{\"type\":\"sample\",\"index\":%.0f,\"files\":{\"image.pgm\":\"%.0f.pgm\",\"label.json\":\"%.0f.json\"}}\n", number, number, number
	}
	printf "{\"type\":\"done\",\"samples\":%d}\n", n - 1
}

# Everything random in a sample follows from its own seed and from nothing else:
# a linear congruence, begun with the seed taken in pieces, for it has 64 bits.
function draw(file, seed, brightness,    i, x) {
	x = 1
	for (i = 1; i <= length(seed); i += 6) x = (x * 1103 + substr(seed, i, 6)) % 2147483647
	printf "P2\n16 16\n255" > file
	for (i = 0; i < 256; i++) {
		x = (x * 48271) % 2147483647
		printf "%s%d", i % 16 ? " " : "\n", brightness + x % 40 - 20 > file
	}
	print "" > file
	close(file)
}'

while IFS= read -r line; do
	case $line in
	'{"type":"describe"'*)
		echo '{"type":"description","protocol":1,"version":"1","outputs":["image.pgm","label.json"],"deterministic":true}'
		;;
	'{"type":"unit"'*)
		printf '%s\n' "$line" | awk "$make" || echo '{"type":"failed","error":"awk failed"}'
		;;
	esac
done
