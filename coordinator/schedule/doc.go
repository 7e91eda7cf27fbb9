// Package schedule decides who gets which unit. It is the leader's soft state,
// and pure: no goroutine, no clock (time comes in as a value), no random number;
// equal calls give equal answers.
package schedule
