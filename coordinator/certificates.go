package coordinator

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Certificates are the files by which nodes know each other: every node shows
// a certificate that the authority has signed, to whom it calls and to who calls
// it. They are read again when one of them has changed, so that they can be renewed
// while the node runs; connections that stand keep what they were made with.
type Certificates struct {
	// Authority, Certificate and Key are paths of PEM files. The certificate names
	// the host by which others reach the node.
	Authority, Certificate, Key string

	mu   sync.Mutex
	read [3]stamp
	now  *tls.Config
}

// stamp tells whether a file is still the one that was read.
type stamp struct {
	at   time.Time
	size int64
}

// config is the TLS configuration of the files as they are now. While what has
// changed cannot be read, halfway through a renewal perhaps, it is that of before.
func (c *Certificates) config() (*tls.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found [3]stamp
	for i, path := range []string{c.Authority, c.Certificate, c.Key} {
		about, err := os.Stat(path)
		if err != nil {
			return c.kept(err)
		}
		found[i] = stamp{about.ModTime(), about.Size()}
	}
	if c.now != nil && found == c.read {
		return c.now, nil
	}
	fresh, err := c.load()
	if err != nil {
		return c.kept(err)
	}
	c.now, c.read = fresh, found
	return fresh, nil
}

func (c *Certificates) kept(err error) (*tls.Config, error) {
	if c.now != nil {
		return c.now, nil
	}
	return nil, fmt.Errorf("certificates: %w", err)
}

func (c *Certificates) load() (*tls.Config, error) {
	pem, err := os.ReadFile(c.Authority)
	if err != nil {
		return nil, err
	}
	authority := x509.NewCertPool()
	if !authority.AppendCertsFromPEM(pem) {
		return nil, errors.New(c.Authority + " has no certificate in PEM")
	}
	own, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", c.Certificate, c.Key, err)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{own},
		RootCAs:      authority,
		ClientCAs:    authority,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}, nil
}
