// Package report makes pages for people: what a campaign did and why, and what a
// generator makes. A page is one file that needs nothing else, to be sent, printed
// or kept.
//
// # What it owns
//
//	Options ─▶ Gather ─▶ Numbers ─┬─▶ JSON, as it is
//	             │ api            └─▶ WriteHTML: numbers, charts, pictures
//	             ▼
//	           server
//
//	members ─▶ Thumbnail ─▶ ContactSheet ─▶ WriteHTML, WritePNG
//
// [Gather] asks a server over its public API, much of it in SQL as anyone could,
// and every answer is of the campaign's sequence or later. [Numbers] hold all that
// a report says; what a page adds is drawn from them alone. Charts are SVG, colours
// and sizes stand in page.css. A [ContactSheet] lays samples out beside the
// scenarios that they were made from. It writes into what it is given, and touches
// no file.
//
// # Failures
//
// A control of another space is a [*Mismatch]; what the server refuses comes back
// as the client has it. A picture that is broken or too large is no failure of a
// report: it is left out, and where nothing is left the page says why.
//
// # Invariants guarded here
//
// All that comes from people, servers and generators is hostile: in SQL it is
// quoted, in HTML escaped by html/template where it stands, and a picture is
// decoded, within loop.MaxPixels, and encoded again. Nothing in a page runs, and
// nothing is fetched. A page stays readable whatever the space is: slices, levels,
// rounds and bytes of pictures are bounded. I7: only what is committed is shown.
package report
