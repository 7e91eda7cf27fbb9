package export

import "fmt"

// wanting says how much room the rest needs, by what there is of it.
func (e *Export) wanting() string {
	samples, bytes := e.there()
	rest := thousands(e.dataset.Samples-samples) + " samples are still to come"
	if samples == 0 {
		return rest
	}
	return fmt.Sprintf("about %s more are needed, %s", sizeText(int64(float64(bytes)/float64(samples)*float64(e.dataset.Samples-samples))), rest)
}

// there is what the shards that are whole hold.
func (e *Export) there() (samples, bytes int64) {
	for _, s := range e.target.shards {
		samples, bytes = samples+s.Samples, bytes+s.Bytes
	}
	return samples, bytes
}

// thousands writes 12345 as 12,345.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// sizeText writes a number of bytes for a person.
func sizeText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
}
