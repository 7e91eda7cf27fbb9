package loop

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAmount(t *testing.T) {
	for want, money := range map[string]float64{
		"0.00": 0, "500.00": 500, "12.35": 12.346, "1.00": 1, "0.12": .123, "0.0042": .00418, "0.000000042": 4.2e-8, "0.000000000": 1e-12, "-0.50": -.5, "1000000000000.00": 1e12,
	} {
		if got := new(Price).Amount(money); got != want {
			t.Errorf("%v is %q, want %q", money, got, want)
		}
	}
	euro := Price{GPUHour: 2.5, Currency: "EUR"}
	if got := euro.Amount(euro.Of(7_200_000)); got != "5.00 EUR" || euro.Buys(5) != 2 || new(Price).Buys(5) != 0 {
		t.Errorf("two hours are %s, and 5 EUR buy %v hours", got, euro.Buys(5))
	}
}

// Rejected attempts cost as much as accepted ones, though nobody measured them.
func TestSpent(t *testing.T) {
	for want, made := range map[float64][]Made{
		0:    nil,
		1000: {{Accepted: 10, Millis: 1000}},
		1500: {{Accepted: 10, Rejected: 5, Millis: 1000}},
		3400: {{Accepted: 10, Rejected: 5, Millis: 1000}, {Accepted: 10, Millis: 1000}, {Rejected: 9}},
	} {
		if got := Spent(made); got != want {
			t.Errorf("%+v took %v ms, want %v", made, got, want)
		}
	}
	if got := Spent([]Made{{Rejected: 9}}); got != 0 {
		t.Errorf("of what nothing is known: %v ms", got)
	}
}

func TestMoneyRefusals(t *testing.T) {
	s := shapes()
	ok := Campaign{Name: "c", Space: s.Name, Policy: "p", Generator: "g", Samples: 100, Rounds: 4, UnitSize: 1, MaxAttempts: 1,
		Advance: AdvanceSealed, Decide: DecideAuto, LearnFrom: []LearnFrom{{ModelLine: "m"}}, Price: Price{GPUHour: 2.5, Currency: "EUR"}, Money: 9}
	if err := ok.Validate(s); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*Campaign){
		"price.gpu_hour":  func(c *Campaign) { c.Price.GPUHour = -1 },
		"price.gpu_hour ": func(c *Campaign) { c.Price.GPUHour = math.NaN() },
		"price.currency":  func(c *Campaign) { c.Price.Currency = "of the realm" },
		"money":           func(c *Campaign) { c.Price = Price{} },
		"money ":          func(c *Campaign) { c.Rounds = 1 },
		"money  ":         func(c *Campaign) { c.Samples, c.Evaluation.Target = 0, 5 },
		"money   ":        func(c *Campaign) { c.Money = math.Inf(1) },
		"samples":         func(c *Campaign) { c.Money, c.ByMoney = 0, true },
	} {
		c := ok
		change(&c)
		var refused *Error
		if err := c.Validate(s); !errors.As(err, &refused) || refused.Field != strings.TrimSpace(field) || refused.Remedy == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestAfford(t *testing.T) {
	// 200 training samples and 100 for evaluation were 30 EUR.
	made := Progress{Round: 1, Decided: 200, Samples: 200, Evaluation: 100, Money: 30}
	for name, test := range map[string]struct {
		money   float64
		samples uint64
		byMoney bool
		now     Progress
		want    uint64
		rounds  int
		why     string
	}{
		"samples bind":               {500, 800, false, made, 800, 4, ""},
		"just enough":                {120, 800, false, made, 800, 4, ""},
		"money binds":                {90, 800, false, made, 500, 4, "money: 30.00 EUR of 90.00 EUR are spent, and a sample costs 0.10 EUR: the rest pays for 300 training samples more, with what is made to evaluate them"},
		"seen before":                {90, 500, false, made, 500, 4, ""},
		"it pays for fewer rounds":   {51, 800, false, made, 310, 2, "money: 30.00 EUR of 51.00 EUR are spent, and a sample costs 0.10 EUR: the rest pays for 110 training samples more, with what is made to evaluate them"},
		"nothing is left":            {35, 800, false, made, 200, 1, "money: 30.00 EUR of 35.00 EUR are spent, and the rest does not pay for another round, at 0.10 EUR a sample"},
		"more is spent than may be":  {20, 800, false, made, 200, 1, "money: 30.00 EUR of 20.00 EUR are spent, and the rest"},
		"as many as it pays for":     {180, 4000, true, made, 1400, 4, "money: 30.00 EUR of 180.00 EUR are spent, and a sample costs 0.10 EUR: the rest pays for 1200 training samples more"},
		"which may be more":          {180, 300, true, made, 1400, 4, "money: "},
		"nothing is known":           {90, 800, true, Progress{Round: 1, Decided: 200, Samples: 200}, 800, 4, ""},
		"nothing is made":            {90, 800, true, Progress{}, 800, 4, ""},
		"no bound":                   {0, 800, false, made, 800, 4, ""},
		"the last round was decided": {30, 800, false, Progress{Round: 4, Decided: 800, Samples: 800, Money: 30}, 800, 4, ""},
	} {
		c := &Campaign{Samples: test.samples, Rounds: 4, Price: Price{GPUHour: 2, Currency: "EUR"}, Money: test.money, ByMoney: test.byMoney,
			Evaluation: EvaluationPlan{Target: 100}}
		samples, rounds, why := c.Afford(&test.now)
		if samples != test.want || rounds != test.rounds || !strings.HasPrefix(why, test.why) || (why == "") != (test.why == "") {
			t.Errorf("%s: %d in %d rounds, as %q; want %d in %d, as %q", name, samples, rounds, why, test.want, test.rounds, test.why)
		}
	}
}

// Whatever the numbers: what is decided stays, nothing is planned that the rest does
// not pay for, every round to come has a sample, and asked again it says no more.
func TestAffordable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.Uint64Range(0, 1e9)
		now := Progress{Round: rapid.IntRange(1, 20).Draw(t, "round"), Decided: count.Draw(t, "decided"), Samples: count.Draw(t, "samples"),
			Evaluation: count.Draw(t, "evaluation"), Money: rapid.Float64Range(0, 1e12).Draw(t, "spent")}
		c := &Campaign{Rounds: now.Round + rapid.IntRange(1, 20).Draw(t, "left"), Price: Price{GPUHour: 1}, Money: rapid.Float64Range(1e-9, 1e12).Draw(t, "money"),
			ByMoney: rapid.Bool().Draw(t, "by money"), Evaluation: EvaluationPlan{Target: rapid.Uint64Range(0, 1e6).Draw(t, "target")}}
		c.Samples = now.Decided + uint64(c.Rounds-now.Round) + count.Draw(t, "more")
		samples, rounds, why := c.Afford(&now)
		if why == "" {
			if samples != c.Samples || rounds != c.Rounds {
				t.Fatalf("%d in %d rounds, and nobody says why", samples, rounds)
			}
			return
		}
		left := rounds - now.Round
		if samples < now.Decided || samples >= MaxQuota || rounds < now.Round || rounds > c.Rounds || samples-now.Decided < uint64(left) || !c.ByMoney && samples > c.Samples {
			t.Fatalf("%d samples in %d rounds, as %s", samples, rounds, why)
		}
		each := now.Money / float64(now.Samples+now.Evaluation)
		if more := float64(samples-now.Decided) + float64(left)*float64(c.Evaluation.Samples()); left > 0 && more*each > (c.Money-now.Money)*(1+1e-9) {
			t.Fatalf("%v samples more at %v are more than %v", more, each, c.Money-now.Money)
		}
		c.Samples, c.Rounds = samples, rounds
		if _, _, again := c.Afford(&now); left > 0 && again != "" {
			t.Fatalf("asked again: %s", again)
		}
	})
}

// A campaign whose rounds grow, and that its money bounds: whatever samples come to
// take, every round has one, they sum to what is asked for in the end, and none is
// smaller than the one before while money pays for what was asked.
func TestGrowingByMoney(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &Campaign{Rounds: rapid.IntRange(2, 20).Draw(t, "rounds"), Price: Price{GPUHour: 1}, ByMoney: rapid.Bool().Draw(t, "by money"),
			Money: math.Pow(10, rapid.Float64Range(-3, 9).Draw(t, "money")), Evaluation: EvaluationPlan{Target: rapid.Uint64Range(0, 500).Draw(t, "target")}}
		c.Samples = uint64(c.Rounds) * rapid.Uint64Range(1, 1e5).Draw(t, "samples")
		c.FirstSamples = rapid.Uint64Range(1, c.Samples/uint64(c.Rounds)).Draw(t, "first")
		now, last, cut := Progress{}, uint64(0), false
		for now.Round < c.Rounds {
			next := c.NextSamples(now.Round+1, now.Decided)
			switch {
			case next < 1 || next > c.Samples-now.Decided:
				t.Fatalf("round %d of %d: %d samples of %d, with %d decided", now.Round+1, c.Rounds, next, c.Samples, now.Decided)
			case now.Round == 0 && next != c.FirstSamples:
				t.Fatalf("a first round of %d, not %d", next, c.FirstSamples)
			case !cut && next+1 < last:
				t.Fatalf("round %d has %d samples after %d", now.Round+1, next, last)
			}
			now.Round, now.Decided, last = now.Round+1, now.Decided+next, next
			now.Samples, now.Evaluation = now.Decided, now.Evaluation+c.Evaluation.Samples()
			now.Money += float64(next+c.Evaluation.Samples()) * rapid.Float64Range(1e-6, 1).Draw(t, "each")
			samples, rounds, why := c.Afford(&now)
			if rounds < now.Round || samples < now.Decided || samples >= MaxQuota || rounds == now.Round && samples != now.Decided {
				t.Fatalf("%d samples in %d rounds, with %d in %d decided: %s", samples, rounds, now.Decided, now.Round, why)
			}
			cut = cut || samples < c.Samples || rounds < c.Rounds
			c.Samples, c.Rounds = samples, rounds
		}
		if now.Decided != c.Samples {
			t.Fatalf("%d samples of %d", now.Decided, c.Samples)
		}
	})
}

// The least amounts that there are bound nothing, and are no reason to count with NaN.
func TestAffordTheLeast(t *testing.T) {
	least := math.SmallestNonzeroFloat64
	c := &Campaign{Samples: 800, Rounds: 4, Price: Price{GPUHour: least}, Money: least, ByMoney: true}
	if samples, rounds, _ := c.Afford(&Progress{Round: 1, Decided: 200, Samples: 200, Money: least}); samples > 800 || rounds > 4 {
		t.Errorf("%d in %d rounds", samples, rounds)
	}
}

func TestPays(t *testing.T) {
	c := &Campaign{Samples: 1000, Rounds: 4, Price: Price{GPUHour: 2}, Money: 100, Evaluation: EvaluationPlan{Target: 50}}
	// 0.1 a sample: 70 are 700 samples, of which 100 are still to be evaluated on.
	for want, now := range map[uint64]Progress{600: {Samples: 200, Evaluation: 100, Money: 30}, 0: {Samples: 900, Evaluation: 200, Money: 110}} {
		if got, ok := c.Pays(&now); !ok || got != want {
			t.Errorf("%+v pays %d, %v; want %d", now, got, ok, want)
		}
	}
	if _, ok := c.Pays(&Progress{Samples: 5}); ok {
		t.Error("it is known what pays for samples that cost nobody knows what")
	}
	c.Money = 0
	if _, ok := c.Pays(&Progress{Samples: 200, Money: 30}); ok {
		t.Error("nothing bounds the campaign, and it pays for so many")
	}
}
