//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"hone/loop"
)

var evidenceRows = flag.Int("evidence-rows", 200_000, "rows of BenchmarkEvidence")

// BenchmarkEvidence reads evidence of three versions' outcomes in a space of 8
// factors, of 460,800 combinations: rows that all stand for themselves, rows in
// clips of 40, and one frozen eval set that each version was judged by.
func BenchmarkEvidence(b *testing.B) {
	s := &loop.Space{Name: "bench", Version: 1, Tasks: []loop.Task{{Name: "pose", Metrics: []loop.Metric{{Name: "error", Better: loop.Lower}}}}}
	for f, levels := range []int{8, 6, 6, 5, 5, 4, 4, 4} {
		factor := loop.Factor{Name: fmt.Sprint("f", f), Kind: loop.Categorical}
		for l := range levels {
			factor.Levels = append(factor.Levels, loop.Level{Name: fmt.Sprint("l", l), Target: 1 / float64(levels)})
		}
		s.Factors = append(s.Factors, factor)
	}
	for name, group := range map[string]string{
		"single": "example", "clips": "'clip' || (i // 40)", "frozen": "'sha256:' || sha256((i // 3)::VARCHAR)",
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			w.addSpace(s)
			factors := ""
			for f := range s.Factors {
				factors += fmt.Sprintf(", 'l' || (hash(i * 10 + %d) %% %d) AS f%d", f, len(s.Factors[f].Levels), f)
			}
			const part = 1_000_000
			for first := 0; first < *evidenceRows; first += part {
				rows := min(part, *evidenceRows-first)
				key := fmt.Sprintf("bench-%d.parquet", first)
				w.must(w.db.Exec(fmt.Sprintf(`COPY (SELECT *, %s AS "group" FROM (SELECT i, 'm' AS model_line, (i %% 3)::VARCHAR AS model_version, 'pose' AS task, 'e' AS eval_set, '' AS run,
					'sha256:' || sha256(i::VARCHAR) AS example, NULL::VARCHAR AS sample, 'synthetic' AS origin, CASE i %% 2 WHEN 0 THEN 'target' ELSE 'mixture' END AS source,
					hash(i * 10 + 8) %% 10 > 0 AS correct, NULL::BIGINT AS loss, 0.5 + (hash(i * 10 + 9) %% 1000) / 1000 AS importance_weight,
					exp((hash(i * 10 + 7) %% 1000) / 200) AS error %s FROM range(%d, %d) t(i))) TO %s (FORMAT parquet)`,
					group, factors, first, first+rows, literal(filepath.Join(w.dir, key)))))
				w.addPart(loop.OutcomeParts, s.Name, loop.Object{Key: key, Digest: sha256.Sum256([]byte(key)), Rows: int64(rows)})
			}
			v := w.run(b.TempDir())
			if err := v.Wait(context.Background(), uint64(len(w.changes))); err != nil {
				b.Fatal(err)
			}
			for _, metric := range []string{"", "error"} {
				b.Run("by_"+metric, func(b *testing.B) {
					q := loop.EvidenceQuery{Space: s.Name, Learn: []loop.LearnFrom{{ModelLine: "m", Metric: metric}}}
					for age := range 3 {
						q.Models = append(q.Models, loop.EvidenceModel{ModelLine: "m", Version: fmt.Sprint(age), Age: uint8(age), Metric: metric})
					}
					for b.Loop() {
						e, _, err := v.Evidence(context.Background(), q)
						if err != nil {
							b.Fatal(err)
						}
						b.ReportMetric(float64(e.Len()), "lines")
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-of-Go")
					}
				})
			}
		})
	}
}
