package coordinator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// authority signs certificates of nodes.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	signed      int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	a.key = a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

// write puts the files of a node into a directory, as a renewal would: one after
// another.
func (a *authority) write(dir string, ip net.IP) *Certificates {
	a.t.Helper()
	c := &Certificates{Authority: filepath.Join(dir, "ca.pem"), Certificate: filepath.Join(dir, "node.pem"), Key: filepath.Join(dir, "node.key")}
	a.signed++
	key := a.newKey()
	template := &x509.Certificate{SerialNumber: big.NewInt(100 + a.signed), Subject: pkix.Name{CommonName: "node"}, IPAddresses: []net.IP{ip},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for _, x := range []struct {
		path, kind string
		bytes      []byte
	}{{c.Authority, "CERTIFICATE", a.certificate.Raw}, {c.Certificate, "CERTIFICATE", der}, {c.Key, "PRIVATE KEY", private}} {
		if err := os.WriteFile(x.path, pem.EncodeToMemory(&pem.Block{Type: x.kind, Bytes: x.bytes}), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return c
}

// echo is a node's stream that sends back what it receives.
func echo(t *testing.T, c *Certificates) *stream {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStream(&Peers{Listener: listener, Certificates: c}, "a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	go func() {
		for {
			conn, err := s.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn) // ends with the connection
			}()
		}
	}()
	return s
}

// say sends a word over a connection, and returns why it did not come back.
func say(conn net.Conn, err error) error {
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("a word of its own")); err != nil {
		return err
	}
	var back [17]byte
	_, err = io.ReadFull(conn, back[:])
	return err
}

// Nodes let in whom their authority has signed, and nobody else: not who has another
// authority, no certificate, no TLS, or the certificate of another host.
func TestPeersKnowEachOther(t *testing.T) {
	own, foreign := newAuthority(t), newAuthority(t)
	here := net.IPv4(127, 0, 0, 1)
	server := echo(t, own.write(t.TempDir(), here))
	to := raft.ServerAddress(server.Addr().String())
	dial := func(c *Certificates) error {
		conn, err := (&stream{cluster: greeting("a"), certificates: c}).Dial(to, 5*time.Second)
		return say(conn, err)
	}
	if err := dial(own.write(t.TempDir(), here)); err != nil {
		t.Errorf("a node of the cluster: %v", err)
	}
	other := &stream{cluster: greeting("b"), certificates: own.write(t.TempDir(), here)}
	if say(other.Dial(to, 5*time.Second)) == nil {
		t.Error("a node of another cluster, signed by the same authority, was let in")
	}
	if dial(foreign.write(t.TempDir(), here)) == nil {
		t.Error("a node of another authority was let in")
	}
	if dial(nil) == nil {
		t.Error("a node without TLS was let in")
	}
	pool := x509.NewCertPool()
	pool.AddCert(own.certificate)
	anonymous, err := tls.Dial("tcp", string(to), &tls.Config{RootCAs: pool})
	if err == nil {
		err = say(anonymous, nil)
	}
	if err == nil {
		t.Error("a node without a certificate was let in")
	}
	elsewhere := echo(t, own.write(t.TempDir(), net.IPv4(10, 9, 8, 7)))
	to = raft.ServerAddress(elsewhere.Addr().String())
	if dial(own.write(t.TempDir(), here)) == nil {
		t.Error("a node was taken for the host of another")
	}
}

// Certificates are renewed while nodes run: the files are read again, and until all
// of them fit together the old ones stay in use.
func TestCertificatesAreReadAgain(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	here := net.IPv4(127, 0, 0, 1)
	serverDir, clientDir := t.TempDir(), t.TempDir()
	server := echo(t, first.write(serverDir, here))
	client := &stream{cluster: greeting("a"), certificates: first.write(clientDir, here)}
	try := func() error {
		conn, err := client.Dial(raft.ServerAddress(server.Addr().String()), 5*time.Second)
		return say(conn, err)
	}
	if err := try(); err != nil {
		t.Fatal(err)
	}
	// Halfway: a certificate that does not fit its key.
	key, err := os.ReadFile(filepath.Join(serverDir, "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(serverDir, "node.key"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := try(); err != nil {
		t.Errorf("halfway through a renewal: %v", err)
	}
	if err := os.WriteFile(filepath.Join(serverDir, "node.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	second.write(serverDir, here)
	later(t, serverDir)
	if try() == nil {
		t.Error("the server shows its old certificate")
	}
	second.write(clientDir, here)
	later(t, clientDir)
	if err := try(); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
}

// later makes files look newer than any written before, however coarse the clock of
// the file system is.
func later(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Chtimes(f, time.Time{}, time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
}

// Files that are missing or no certificates are refused before the node starts.
func TestCertificatesRefused(t *testing.T) {
	a := newAuthority(t)
	for name, spoil := range map[string]func(*Certificates){
		"missing":       func(c *Certificates) { c.Key += "x" },
		"no authority":  func(c *Certificates) { c.Authority = c.Key },
		"not a key":     func(c *Certificates) { c.Key = c.Certificate },
		"not a keypair": func(c *Certificates) { c.Certificate = c.Authority },
	} {
		c := a.write(t.TempDir(), net.IPv4(127, 0, 0, 1))
		spoil(c)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newStream(&Peers{Listener: listener, Certificates: c}, "a"); err == nil {
			t.Errorf("%s: accepted", name)
		} else if errors.Is(err, os.ErrNotExist) != (name == "missing") {
			t.Errorf("%s: %v", name, err)
		}
		listener.Close()
	}
}
