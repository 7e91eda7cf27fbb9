package program

import "testing"

func TestCommand(t *testing.T) {
	for typed, want := range map[string]string{
		`python3 "my generator.py" -n 1,2`:  `exec python3 "my generator.py" -n 1,2`,
		`CUDA_VISIBLE_DEVICES=1 python3 g`:  `exec env CUDA_VISIBLE_DEVICES=1 python3 g`,
		`./g --scale=2`:                     `exec ./g --scale=2`,
		`cd parts && exec python3 g`:        `cd parts && exec python3 g`,
		`. venv/bin/activate; exec python3`: `. venv/bin/activate; exec python3`,
		`$HOME/g 2>>log`:                    `exec $HOME/g 2>>log`,
	} {
		if got := command(typed); got != want {
			t.Errorf("%s is run as %s, not %s", typed, got, want)
		}
	}
}
