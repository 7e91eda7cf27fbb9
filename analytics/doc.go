// Package analytics answers questions: evidence for decisions, committed
// samples for publishing, and the SQL of analysts. It is a view, in DuckDB, of
// the replicated catalogue and the lake; nothing is true here alone. Delete its
// directory and it is built again.
//
// It is the only package of Hone that needs cgo. It builds with the tag
// duckdb_arrow, by which the DuckDB driver hands out Arrow; without the tag, or
// with CGO_ENABLED=0, the build fails on a name that says so.
//
// # What it owns
//
//	Catalogue.Changes ─┬─▶ _view.duckdb     ours: Evidence, Committed, Imported, Resolve, Examples, Locate
//	Parts.Path         ├─▶ _copy0.duckdb ┐  analysts': followed up and closed in turn;
//	                   └─▶ _copy1.duckdb ┘  a process per query opens one, locked down
//
// [View.Run] follows the catalogue: many changes per transaction, the last
// sequence stored in the same one, so that a crash repeats nothing and loses
// nothing (C20). Everything read is read in one snapshot and carries, or has
// waited for, its sequence (C15).
//
// Analysts never share our instance, nor our process: [View.Query] starts this
// program again for each query (which costs some 40 ms). That process opens a
// copy read-only, without access to anything else, with its address space
// limited and at a lower priority, and is killed when its time is up. DuckDB's
// own settings bound neither the memory nor the time of a single expression.
//
// Beside the view stand two readers of files that somebody has, which run in the
// user's own process: a [Table] is read into memory to be asked about, and a
// [Translation] turns the rows of a file into NDJSON, as outcomes are posted.
//
// # Tables
//
// Each space has a schema, named as the space is (or, where SQL already knows
// that name, the name and "_2", and so on; table spaces says which). In it:
//
//	outcomes  one column per factor, derived label and metric; model_line,
//	          model_version, task, eval_set, run, example, "group", sample,
//	          origin, source, correct, loss, importance_weight, uri, posted_at
//	samples   one column per factor and derived label; digest, campaign, round,
//	          component, index, attempt, seed, importance_weight, split, worker,
//	          generator, committed_at; pack, "offset", length, millis, scores;
//	          example and origin of imported ones, of which campaign is the
//	          dataset and round its version
//	verdicts  one column per factor and derived label; campaign, round,
//	          component, index, attempt, split, worker, generator, gate, reason,
//	          scores, judged_at
//	lineage   from each sample to what caused it (see below)
//
// A categorical or ordinal factor is an ENUM of its levels, in order, and
// "absent"; NULL is unknown. A numeric factor is a DOUBLE, with its bin in the
// ENUM column <name>__level. A metric is a DOUBLE, NULL where it was not
// posted. A derived label is an ENUM that is computed when it is read, by the
// newest version's rules from what is known of a row: it is what
// [loop.Space.Derive] says of its codes, with NULL for unknown.
//
// A new version of a space adds columns, in which the rows that are there have
// NULL, and takes none away: factors, levels and metrics that it dropped stay,
// and so do the values of a factor that is no number any more (<name>__value).
// Where it gives the name of one that it dropped to another thing, the dropped
// one is called <name>_2. Columns that begin with '_' are internal:
// _reference is the sequence of the change that added a row's part, _row its place
// in the part; by the two of them rows are voided (C11, C20). _sequence is that of
// the change by which the row came in: where its part was compacted since, an
// earlier one (C21).
//
// Beside the spaces' schemas stand the tables spaces, parts, rounds, components
// and evidence_models. From any sample one query leads to the round, the policy,
// the evidence and the very outcomes that caused it, and with its condition
// turned round from an outcome to the samples (I10):
//
//	SELECT policy, policy_version, evidence, evidence_sequence, slice, sentence,
//	       model_line, model_version, example, correct, loss
//	FROM shapes.lineage WHERE digest = 'sha256:…'
//
// Outcomes that were voided after the decision are no longer found there. For
// a component that fixes nothing all of the round's evidence is listed.
//
// # Failures
//
// A view that lacks an object, or whose file is damaged, builds itself again from
// the first change, and says so in the log; reads wait meanwhile, so that none sees
// less than one before it. One that is behind what the catalogue retains goes on,
// and answers when it has come to what replaces that. Where
// building again does not help the view stands still, tries again with growing
// pauses, logs each failure, and names the last one to those who wait in vain.
// What analysts write wrongly is a [loop.Error] with DuckDB's own message, and so
// is what exceeds the limits or breaks its process down. After [View.Run] has
// returned no DuckDB call and no process is left running and every method
// answers [ErrClosed].
//
// A directory is followed by one process at a time; a second one is refused.
//
// # Invariants and rules guarded here
//
// I7 (void rows never become visible), I10 (lineage), C11 (void), C15 (evidence
// at least at a sequence), C20 (changes in order and once; parts identified by
// the sequence of their add, so that one object may count twice). I2 is checked
// on the way out: [View.Committed] refuses a name that is there twice.
package analytics
