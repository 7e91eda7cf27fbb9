// Package fault breaks the product on purpose, so that its tests can be seen to
// notice. It does nothing in an ordinary build: only with the build tag `faults`
// does it read variables of the environment.
//
//	HONE_PLANT=NAME              a planted bug, which code asks for by [Planted]
//	HONE_FAULT=PLACE=WHAT@N,...  what happens when a place, which code marks by
//	                             [Point], is passed for the Nth time (default 1):
//	                             kill (this very process), stop (SIGSTOP) or panic
//	HONE_NUMBERS=NAME=N,...      other numbers than those that [Number] is given
//	HONE_CLOCK=FILE              the clock of [Time] is off by what stands in there,
//	                             as in 10m or -1h; read again whenever it is asked
//	HONE_RECORD=DIR              where [Record] writes down what it is given
//
// [Plants] names every bug that can be planted, with the test that catches it;
// [Points] names every place.
package fault
