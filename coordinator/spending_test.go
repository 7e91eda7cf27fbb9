package coordinator

import (
	"fmt"
	"strings"
	"testing"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// What was spent adds up over slices and attempts, and what no longer pays is named
// with what a round no longer spends on it.
func TestSpending(t *testing.T) {
	low, day := loop.Slice{{Factor: 0, Level: 0}}, loop.Slice{{Factor: 0, Level: 1}}
	round := func(number int, low_, day_ uint64, memory ...loop.Remembered) state.Round {
		return state.Round{Decided: &loop.DecidedRound{Round: loop.Round{Number: number, Memory: loop.Memory{Slices: memory},
			Components: []loop.Component{{Quota: 50}, {Number: 1, Slice: low, Quota: low_}, {Number: 2, Slice: day, Quota: day_}, {Domain: loop.Evaluation, Slice: low, Quota: 9}}}}}
	}
	p := &spending{
		campaign: state.Campaign{Campaign: &loop.Campaign{Name: "c", Samples: 1000, Rounds: 5, Money: 50, Price: loop.Price{GPUHour: 3.6, Currency: "EUR"}, Evaluation: loop.EvaluationPlan{Target: 20}}},
		rounds: []state.Round{round(1, 0, 0), round(2, 40, 10), round(3, 60, 10),
			round(4, 5, 40, loop.Remembered{Slice: low, Damping: .25, Round: 2}, loop.Remembered{Slice: day, Damping: 1, Round: 2})},
		made: []loop.Made{{Accepted: 200, Millis: 200_000}, {Slice: low, Accepted: 100, Rejected: 50, Millis: 200_000}, {Slice: day, Accepted: 60, Millis: 60_000}},
		now:  loop.Progress{Round: 4, Decided: 305, Samples: 300, Evaluation: 60},
	}
	p.now.Spend(p.campaign.Campaign, p.made)
	total := p.total()
	if total == nil || total.GPUSeconds != 560 || fmt.Sprintf("%.3f", *total.Money) != "0.560" || total.Most != 50 || *total.Left != 700 || total.Binds != "samples" {
		t.Fatalf("%+v", total)
	}
	p.campaign.Campaign.Money = 1
	if total := p.total(); total.Binds != "money" || *total.Pays != 242 { // 0.44 EUR are 282.9 samples, of which 40 are for evaluation
		t.Errorf("%+v, pays %d", total, *total.Pays)
	}
	if cost := p.ahead(30); cost == nil || fmt.Sprintf("%.3f", *cost.Money) != "0.056" {
		t.Errorf("30 samples more are %+v", cost)
	}
	if n, err := p.buys(.0561); err != nil || n != 30 {
		t.Errorf("0.0561 EUR buy %d samples, %v", n, err)
	}
	flat := p.flat(forecastSpace(), []api.SliceForecast{{Outlook: loop.NoLongerPays}, {Outlook: loop.NoLongerPays}, {Outlook: loop.Unlearnable}}, []loop.Slice{nil, low, day})
	if len(flat) != 2 || flat[0].Name != "light=low" || flat[0].Why != "damped to 25%" || flat[1].Why != "looks unlearnable" {
		t.Fatalf("%+v", flat)
	}
	if f := flat[0]; f.Since != 2 || f.Samples != 105 || f.Most != 60 || f.MostRound != 3 || f.Latest != 5 || f.Cost.GPUSeconds != 300 || f.Cost.Text() != "0.30 EUR" || f.Saved.GPUSeconds != 165 {
		t.Errorf("%+v", f)
	}
	if f := flat[1]; f.Saved.GPUSeconds != 0 || f.Latest != 40 {
		t.Errorf("%+v", f)
	}
	p.campaign.Campaign.Price, p.campaign.Campaign.Money = loop.Price{}, 0
	if total := p.total(); total.Money != nil || total.Pays != nil || total.Binds != "" || total.Cost.Text() != "0.16 GPU hours" {
		t.Errorf("without a price: %+v", total)
	}
	if _, err := p.buys(5); err == nil || !strings.Contains(err.Error(), "does not say what generating costs") {
		t.Errorf("without a price: %v", err)
	}
	if p.now = (loop.Progress{}); p.total() != nil || p.ahead(5) != nil {
		t.Error("of nothing made it is known what it took")
	}
}
