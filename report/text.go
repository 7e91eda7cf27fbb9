package report

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"hone/loop"
)

// percent writes a fraction with the digits that matter.
func percent(x float64) string {
	switch p := 100 * x; {
	case p == 0 || p >= 10:
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	case p >= 1:
		return strconv.FormatFloat(p, 'f', 2, 64) + "%"
	default:
		return strconv.FormatFloat(p, 'g', 2, 64) + "%"
	}
}

// accuracyText writes an accuracy with one digit behind the point.
func accuracyText(x float64) string { return strconv.FormatFloat(100*x, 'f', 1, 64) + "%" }

// timesText is the text of a cell.
func timesText(c CoverageCell) string {
	switch {
	case c.Target == 0 && c.Samples == 0:
		return ""
	case c.Target == 0:
		return "∞"
	case c.Ratio >= 9.95:
		return strconv.FormatFloat(c.Ratio, 'f', 0, 64)
	}
	return strconv.FormatFloat(c.Ratio, 'f', 1, 64)
}

// durationText writes seconds as a person says them.
func durationText(seconds float64) string {
	switch {
	case seconds >= 2*3600:
		return strconv.FormatFloat(seconds/3600, 'f', 1, 64) + " h"
	case seconds >= 120:
		return strconv.FormatFloat(seconds/60, 'f', 1, 64) + " min"
	case seconds >= 10:
		return strconv.FormatFloat(seconds, 'f', 0, 64) + " s"
	}
	return strconv.FormatFloat(seconds, 'f', 2, 64) + " s"
}

// moneyText writes an amount, in the campaign's currency or, where the reader gave the
// price, in the reader's own.
func moneyText(x float64, c Cost) string {
	price := loop.Price{Currency: c.Currency}
	return price.Amount(x)
}

// thousandsOf is thousands for any whole number, as templates hand it on.
func thousandsOf(n any) string {
	switch n := n.(type) {
	case int:
		return thousands(n)
	case int64:
		return thousands(n)
	case uint64:
		return thousands(n)
	}
	return fmt.Sprint(n)
}

func plurality(n any) string {
	if fmt.Sprint(n) == "1" {
		return ""
	}
	return "s"
}

// thousands writes 12345 as 12,345.
func thousands[T int | int64 | uint64](n T) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural is a number and a noun.
func plural[T int | int64 | uint64](n T, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "y") {
		return thousands(n) + " " + strings.TrimSuffix(one, "y") + "ies"
	}
	return thousands(n) + " " + one + "s"
}

// webLink is a URI that may be followed, or nothing: what a poster wrote is a link
// only where it is one to the web. All else is text.
func webLink(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return uri
}
