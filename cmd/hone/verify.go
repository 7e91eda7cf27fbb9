package main

import (
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/loop"
)

// verified is what `dataset verify` found.
type verified struct {
	Name     string      `json:"name"`
	Version  int         `json:"version"`
	Manifest loop.Digest `json:"manifest_sha256"`
	Rows     int64       `json:"rows"`
	Samples  int64       `json:"samples_verified"`
	Bytes    int64       `json:"bytes"`
	// DuplicateIndices counts rows whose (round, component, index) came before;
	// DuplicateDigests those whose bytes did, which is no fault.
	DuplicateIndices int64    `json:"duplicate_indices"`
	DuplicateDigests int64    `json:"duplicate_digests"`
	Faults           []string `json:"faults"`
}

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "download a version and hash all of it again",
		ArgsUsage: "NAME[@VERSION]",
		Description: "The manifest must have the digest that the version states, every sample the digest that the manifest states, " +
			"and no index may be there twice. Exits 1 on any fault.\n\nExample:\n   hone dataset verify loop@12",
		Action: func(c *cli.Context) error {
			d, err := namedDataset(c)
			if err != nil {
				return err
			}
			v, err := verify(c, client(c), d)
			if err != nil {
				return err
			}
			if err := show(c, v, func(w io.Writer) { writeVerified(w, v) }); err != nil {
				return err
			}
			if len(v.Faults) > 0 {
				return fmt.Errorf("%s@%d is not what it should be: %s", v.Name, v.Version, v.Faults[0])
			}
			return nil
		},
	}
}

func verify(c *cli.Context, client *api.Client, d api.Dataset) (*verified, error) {
	v := &verified{Name: d.Name, Version: d.Version, Faults: []string{}}
	fault := func(format string, args ...any) { v.Faults = append(v.Faults, fmt.Sprintf(format, args...)) }
	body, err := client.OpenManifest(c.Context, d.Name, d.Version)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	hash := sha256.New()
	bytes := io.TeeReader(body, hash)
	var digests []loop.Digest
	indices := map[[3]uint64]struct{}{}
	seen := map[loop.Digest]struct{}{}
	for row, err := range api.DecodeManifest(bytes) {
		if err != nil {
			return nil, fmt.Errorf("manifest of %s@%d: %w", d.Name, d.Version, err)
		}
		index := [3]uint64{uint64(row.Round), uint64(row.Component), row.Index}
		if _, ok := indices[index]; ok {
			v.DuplicateIndices++
			fault("round %d, component %d, index %d is there twice", row.Round, row.Component, row.Index)
		}
		indices[index] = struct{}{}
		if _, ok := seen[row.Digest]; ok {
			v.DuplicateDigests++
		}
		seen[row.Digest] = struct{}{}
		if row.Split != d.Split {
			fault("round %d, component %d, index %d is of split %s, not %s", row.Round, row.Component, row.Index, row.Split, d.Split)
		}
		digests = append(digests, row.Digest)
	}
	if _, err := io.Copy(io.Discard, bytes); err != nil {
		return nil, fmt.Errorf("manifest of %s@%d: %w", d.Name, d.Version, err)
	}
	v.Manifest, v.Rows = loop.Digest(hash.Sum(nil)), int64(len(digests))
	if v.Manifest != d.Manifest {
		fault("the manifest hashes to %s, but should to %s", v.Manifest, d.Manifest)
	}
	if v.Rows != d.Samples {
		fault("the manifest has %d rows, but should have %d", v.Rows, d.Samples)
	}
	// The client hashes every sample again and stops at the first that differs.
	for s, err := range client.Samples(c.Context, digests) {
		if c.Context.Err() != nil {
			return nil, c.Context.Err()
		}
		if err != nil {
			fault("%v", err)
			break
		}
		v.Samples++
		for _, m := range s.Members {
			v.Bytes += int64(len(m.Bytes))
		}
	}
	return v, nil
}

func writeVerified(w io.Writer, v *verified) {
	verdict := "good"
	if len(v.Faults) > 0 {
		verdict = fmt.Sprintf("%d faults", len(v.Faults))
	}
	facts(w,
		"dataset", fmt.Sprintf("%s@%d", v.Name, v.Version),
		"manifest", v.Manifest.String(),
		"samples", fmt.Sprintf("%d of %d hashed again, %d bytes", v.Samples, v.Rows, v.Bytes),
		"duplicate indices", digits(v.DuplicateIndices),
		"duplicate digests", digits(v.DuplicateDigests),
		"verdict", verdict,
	)
	for i, f := range v.Faults {
		if i == 10 {
			fmt.Fprintf(w, "  and %d more\n", len(v.Faults)-i)
			return
		}
		fmt.Fprintln(w, "  "+f)
	}
}
