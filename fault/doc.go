// Package fault breaks the product on purpose, so that its tests can be seen to
// notice. It does nothing in an ordinary build: only with the build tag `faults`
// does it read two variables of the environment.
//
//	HONE_PLANT=NAME              a planted bug, which code asks for by [Planted]
//	HONE_FAULT=PLACE=WHAT@N,...  what happens when a place, which code marks by
//	                             [Point], is passed for the Nth time (default 1):
//	                             kill (this very process), stop (SIGSTOP) or panic
//
// [Plants] names every bug that can be planted, with the test that catches it.
package fault
