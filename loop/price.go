package loop

import (
	"math"
	"regexp"
	"strconv"
)

// Price is what generating costs, where a user says. An hour is one of a generator's
// work, in all slots: where several share a GPU, it is the price of a slot.
type Price struct {
	GPUHour float64 `json:"gpu_hour"`
	// Currency is what amounts are in; empty: they are written without.
	Currency string `json:"currency,omitempty"`
}

// Bounds of prices and amounts.
const (
	maxPrice = 1e6
	// MaxMoney bounds amounts.
	MaxMoney = 1e12
)

// currency is a code or a sign.
var currency = regexp.MustCompile(`^[A-Za-z$€£¥]{1,8}$`)

func (p *Price) validate() error {
	switch {
	case !(p.GPUHour >= 0 && p.GPUHour <= maxPrice):
		return refuse("price.gpu_hour", "%v is not a price", p.GPUHour).remedy("above 0, at most %g", maxPrice)
	case p.Currency != "" && !currency.MatchString(p.Currency):
		return refuse("price.currency", "%q is not a currency", p.Currency).remedy("up to 8 letters, for example EUR")
	}
	return nil
}

// Known reports whether anybody has said what generating costs.
func (p *Price) Known() bool { return p.GPUHour > 0 }

// Of is what so many milliseconds of generators cost.
func (p *Price) Of(millis float64) float64 { return millis / millisPerHour * p.GPUHour }

// Buys is how many hours of generators an amount buys.
func (p *Price) Buys(money float64) float64 { return over(money, p.GPUHour) }

// Amount writes money as a person reads it: "12.50 EUR", "0.0042".
func (p *Price) Amount(money float64) string {
	digits := 2
	if size := math.Abs(money); size > 0 && size < 1 {
		digits = min(9, 1-int(math.Floor(math.Log10(size))))
	}
	text := strconv.FormatFloat(money, 'f', digits, 64)
	if p.Currency != "" {
		text += " " + p.Currency
	}
	return text
}

// Spent is what generators spent on all that was made, in milliseconds: what was
// measured of accepted samples, and as much for every attempt that was sent back.
func Spent(made []Made) float64 {
	millis, accepted, unmeasured, total := 0.0, 0.0, 0.0, 0.0
	for i := range made {
		m := &made[i]
		millis += float64(m.Millis)
		accepted += float64(m.Accepted)
		if m.Accepted == 0 {
			unmeasured += float64(m.Rejected)
			continue
		}
		total += m.millis() * float64(m.Accepted+m.Rejected)
	}
	return total + over(millis, accepted)*unmeasured
}

// Spend notes what was spent on what was made.
func (p *Progress) Spend(c *Campaign, made []Made) {
	p.Millis = Spent(made)
	p.Money = c.Price.Of(p.Millis)
}

// PilotSamples are the training samples of each round, as far as is planned, of a
// campaign that asks for as many as its money pays for, until it has been seen what
// one takes.
const PilotSamples = 1000

// validateMoney refuses an amount that nothing can be held against.
func (c *Campaign) validateMoney() error {
	switch {
	case !(c.Money >= 0 && c.Money <= MaxMoney):
		return refuse("money", "%v is not an amount", c.Money).remedy("above 0, at most %g", MaxMoney)
	case c.Money == 0 && c.ByMoney:
		return refuse("samples", "neither samples nor money bound the campaign").remedy("set samples, money, or both")
	case c.Money == 0:
		return nil
	case !c.Price.Known():
		return refuse("money", "%v, but it is not said what generating costs", c.Money).remedy("set price, for example {gpu_hour: 2.50, currency: EUR}")
	case c.Samples == 0:
		return refuse("money", "it bounds training samples, and the campaign asks for none").remedy("leave it out")
	case c.Rounds == 1:
		return refuse("money", "what samples take is known once a round is made, and the only one is decided before").
			remedy("ask for several rounds, or leave money out")
	}
	return nil
}

// Afford is how many training samples in all, and over how many rounds, the
// campaign's money pays for, by what samples have taken so far, when its rounds up
// to now.Round are made; and why that is other than what it asks for now, empty
// where it is not. Each round to come makes its evaluation samples, too. It is never
// more than was asked for, but where the number of samples follows from the money
// (ByMoney), and never less than is decided; and there are fewer rounds where else
// most of the money went into evaluation.
func (c *Campaign) Afford(now *Progress) (samples uint64, rounds int, why string) {
	decided, left := now.Decided, c.Rounds-now.Round
	each := over(now.Money, float64(now.Samples+now.Evaluation))
	if c.Money == 0 || left < 1 || !(each > 0) {
		return c.Samples, c.Rounds, ""
	}
	pays := max(0, (c.Money-now.Money)/each)
	asked := float64(c.Samples - min(c.Samples, decided))
	least := max(1, min(float64(c.Evaluation.Samples()), asked/float64(left)))
	spent := c.Price.Amount(now.Money) + " of " + c.Price.Amount(c.Money) + " are spent"
	for ; left > 0; left-- {
		train := math.Floor(pays - float64(left)*float64(c.Evaluation.Samples()))
		switch {
		case train < 1, left > 1 && train < float64(left)*least:
			continue
		case !c.ByMoney:
			train = min(train, asked)
		}
		samples, rounds = decided+uint64(min(train, float64(MaxQuota-1-min(decided, MaxQuota-1)))), now.Round+left
		// What a sample takes varies: less than a hundredth of what is left is no news,
		// but for the last round.
		off := math.Abs(float64(samples) - float64(c.Samples))
		if rounds == c.Rounds && (off == 0 || left > 1 && off <= .01*float64(samples-decided)) {
			return c.Samples, c.Rounds, ""
		}
		return samples, rounds, "money: " + spent + ", and a sample costs " + c.Price.Amount(each) + ": the rest pays for " +
			strconv.FormatUint(samples-decided, 10) + " training samples more, with what is made to evaluate them"
	}
	return decided, now.Round, "money: " + spent + ", and the rest does not pay for another round, at " + c.Price.Amount(each) + " a sample"
}

// Pays is how many training samples more, beside those that were committed, the rest
// of the campaign's money pays for, when all evaluation samples that are still to come
// are paid; ok is false where nothing bounds the money, or nobody knows what samples
// cost.
func (c *Campaign) Pays(now *Progress) (samples uint64, ok bool) {
	if c.Money == 0 || now.Samples+now.Evaluation == 0 || !(now.Money > 0) {
		return 0, false
	}
	evaluation := max(0, float64(c.Rounds)*float64(c.Evaluation.Samples())-float64(now.Evaluation))
	pays := (c.Money-now.Money)/now.Money*float64(now.Samples+now.Evaluation) - evaluation
	return uint64(min(max(0, pays), float64(MaxQuota))), true
}
