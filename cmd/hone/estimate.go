package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"hone/api"
)

// estimate is what a number of samples will take, by what a generator's latest
// ones took.
type estimate struct {
	// Measured is how many samples that rests on; of none nothing is known.
	Measured int64 `json:"measured_samples"`
	// Rate is of accepted samples per second and slot; Rejected the share that
	// gates sent back.
	Rate      float64 `json:"samples_per_second_per_slot,omitempty"`
	Rejected  float64 `json:"rejected_share,omitempty"`
	SlotHours float64 `json:"slot_hours,omitempty"`
	// Slots are those connected that have the generator; Seconds what they need if
	// nothing else is to be made.
	Slots   int      `json:"slots"`
	Seconds float64  `json:"seconds,omitempty"`
	Price   *float64 `json:"price,omitempty"`
	// Unknown says why nothing is known, if the server could not be asked.
	Unknown string `json:"unknown,omitempty"`
}

// measureFor bounds how long a rate is waited for: a view that is being built
// again may take minutes.
const measureFor = 5 * time.Second

// measuredSamples bounds how far back a rate looks.
const measuredSamples = 5_000

// estimated asks the server how fast a generator was, in the given space, and
// what is connected now.
func estimated(ctx context.Context, client *api.Client, space, generator string, samples uint64, pricePerHour float64) (e estimate, err error) {
	status, err := client.Status(ctx)
	if err != nil {
		return e, err
	}
	e.Slots = slotsOf(&status, generator)
	from := `FROM "` + strings.ReplaceAll(space, `"`, `""`) + `".`
	made := "starts_with(generator, '" + strings.ReplaceAll(generator, "'", "''") + "@')"
	limited, cancel := context.WithTimeout(ctx, measureFor)
	defer cancel()
	table, err := client.SQL(limited, fmt.Sprintf(`WITH latest AS (SELECT millis, committed_at %ssamples WHERE %s AND millis IS NOT NULL ORDER BY committed_at DESC LIMIT %d)
		SELECT count(*), coalesce(avg(millis), 0)::DOUBLE, (SELECT count(*) %sverdicts WHERE %s AND judged_at >= (SELECT min(committed_at) FROM latest)) FROM latest`,
		from, made, measuredSamples, from, made), status.Sequence)
	if err != nil {
		e.Unknown = err.Error()
		return e, ctx.Err()
	}
	var n, millis, sentBack float64
	if len(table.Rows) == 1 && len(table.Rows[0]) == 3 {
		n, millis, sentBack = float(table.Rows[0][0]), float(table.Rows[0][1]), float(table.Rows[0][2])
	}
	if n == 0 || millis <= 0 {
		return e, nil
	}
	e.Measured = int64(n)
	e.Rejected = sentBack / (n + sentBack)
	e.Rate = 1000 / millis * (1 - e.Rejected)
	e.SlotHours = float64(samples) / e.Rate / 3600
	if e.Slots > 0 {
		e.Seconds = float64(samples) / e.Rate / float64(e.Slots)
	}
	if pricePerHour > 0 {
		price := e.SlotHours * pricePerHour
		e.Price = &price
	}
	return e, nil
}

func float(cell any) float64 {
	number, ok := cell.(json.Number)
	if !ok {
		return 0
	}
	x, _ := number.Float64() // a number that the server wrote
	return x
}

// slotsOf counts the connected slots that have a generator, of any version.
func slotsOf(s *api.Status, generator string) (n int) {
	for _, w := range s.Workers {
		if slices.ContainsFunc(w.Generators, func(g string) bool {
			name, _, _ := strings.Cut(g, "@")
			return name == generator
		}) {
			n += w.Slots
		}
	}
	return n
}

// time says how long it will take, for a person.
func (e *estimate) time(generator string) string {
	if e.Unknown != "" {
		return fmt.Sprintf("How long that takes is not known: %s.", e.Unknown)
	}
	if e.Measured == 0 {
		return fmt.Sprintf("How long that takes is not known: nothing was made by %s yet.", generator)
	}
	rate := fmt.Sprintf("%s made %s accepted samples per second and slot (%s measured, %s sent back)",
		generator, rateText(e.Rate), thousands(e.Measured), percent(e.Rejected))
	if e.Slots == 0 {
		return fmt.Sprintf("It takes about %s of one slot: %s.", duration(e.SlotHours*3600), rate)
	}
	return fmt.Sprintf("It takes about %s on the %d slots that are connected, if they have nothing else to make: %s.", duration(e.Seconds), e.Slots, rate)
}

// rateText is a rate with three digits that matter, and never an exponent.
func rateText(rate float64) string {
	if rate >= 100 {
		return thousands(int64(math.Round(rate)))
	}
	return strconv.FormatFloat(rate, 'g', 3, 64)
}

// price says what it will cost, for a person.
func (e *estimate) price(perHour float64) string {
	switch {
	case perHour <= 0:
		return "No price is known; --price-per-hour X, of a slot, would give one."
	case e.Price == nil:
		return "What it costs is not known, either."
	default:
		return fmt.Sprintf("It costs about %.2f: %.3g slot hours at %g.", *e.Price, e.SlotHours, perHour)
	}
}

// duration writes seconds with the digits that an estimate has.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", max(seconds, 1))
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f minutes", max(d.Minutes(), 1))
	default:
		return fmt.Sprintf("%.1f hours", d.Hours())
	}
}
