package program

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// drained is how long the pipes of a program that has ended may stay open: what
// it started and let go of (setsid) may hold them for ever.
const drained = 500 * time.Millisecond

// process is one run of a program: a process group of its own, and three pipes.
type process struct {
	cmd *exec.Cmd
	// grace is between the end of its input and SIGTERM, and then SIGKILL.
	grace time.Duration
	stdin *os.File
	// lines are what it writes to standard output; closed at the end of it, with
	// the reason in cut if it was not the program's doing.
	lines chan []byte
	cut   error
	words *words
	// stopping is closed when nobody listens any more.
	stopping chan struct{}
	once     sync.Once
	// exited is closed when the process has ended; gone, when what was left of its
	// group has been killed and its pipes have ended, too.
	exited, gone chan struct{}
	// taken and lost are of a process that is idle: someone takes it, or it ends
	// or says something that nobody asked for.
	taken, lost chan struct{}
	// busy is between a unit and its end; whoever has the process knows.
	busy bool
	// survivors says that the process left others of its group behind.
	survivors bool
}

// start runs what was typed as a command. The process is to be stopped or killed.
func start(typed string, grace time.Duration, k *keeper, log *slog.Logger) (*process, error) {
	var ours, theirs [3]*os.File
	closeAll := func(files [3]*os.File) {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
	}
	for i := range ours {
		read, write, err := os.Pipe()
		if err != nil {
			closeAll(ours)
			closeAll(theirs)
			return nil, fmt.Errorf("start: %w", err)
		}
		if ours[i], theirs[i] = read, write; i == 0 {
			ours[i], theirs[i] = write, read
		}
	}
	cmd := exec.Command("/bin/sh", "-c", registration+command(typed))
	cmd.ExtraFiles = []*os.File{k.input}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err := cmd.Start()
	closeAll(theirs)
	if err != nil {
		closeAll(ours)
		return nil, fmt.Errorf("start: %w", err)
	}
	p := &process{cmd: cmd, grace: grace, stdin: ours[0], lines: make(chan []byte),
		words:    &words{log: log.With("pid", cmd.Process.Pid)},
		stopping: make(chan struct{}), exited: make(chan struct{}), gone: make(chan struct{}),
		taken: make(chan struct{}), lost: make(chan struct{})}
	var readers sync.WaitGroup
	readers.Go(func() { p.read(ours[1]) })
	readers.Go(func() { p.words.listen(ours[2]) })
	go func() {
		_ = cmd.Wait() // its state says it
		close(p.exited)
		if p.survivors = p.left(); p.survivors {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		k.ended(cmd.Process.Pid)
		p.stdin.Close()
		soon := time.Now().Add(drained)
		_ = ours[1].SetReadDeadline(soon) // pipes have deadlines
		_ = ours[2].SetReadDeadline(soon)
		readers.Wait()
		ours[1].Close()
		ours[2].Close()
		close(p.gone)
	}()
	return p, nil
}

// read passes on the lines of standard output. It goes on reading when nobody
// listens, so that a program that is writing can come to its end.
func (p *process) read(stdout *os.File) {
	defer close(p.lines)
	in := bufio.NewReaderSize(stdout, 64<<10)
	for {
		line, err := readLine(in, maxLine)
		if errors.Is(err, errLongLine) {
			p.cut = &Breach{Rule: RuleMessages, Expected: fmt.Sprintf("lines of at most %d bytes", maxLine),
				Got: "a longer one, which begins " + shown(line), Remedy: "bytes go into files, never through the pipes"}
			return // nobody listens to it any more
		}
		if err != nil {
			return
		}
		select {
		case p.lines <- line:
		case <-p.stopping:
		}
	}
}

// left reports whether others of the group have outlived the process. They get a
// moment: they may be about to notice.
func (p *process) left() bool {
	deadline := time.NewTimer(drained)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for groupLives(p.cmd.Process.Pid) {
		select {
		case <-tick.C:
		case <-deadline.C:
			return true
		}
	}
	return false
}

// signal reaches the process and all that it has started, but for what has left
// its group. The number of a group that is gone may be another's by now.
func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.exited:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// send writes a line, and returns at once: a program may answer before it has
// read everything. One that does not read is found out by the time-out.
func (p *process) send(line []byte) {
	p.busy = true
	go func() { _, _ = p.stdin.Write(line) }()
}

// next reads the next message, as parse does. Its error is a *Breach, or the
// cause why ctx has ended.
func (p *process) next(ctx context.Context, awaited map[string]any) (kind string, err error) {
	select {
	case l, ok := <-p.lines:
		if !ok {
			return "", p.silence("a line with " + oneOf(awaited))
		}
		kind, err = parse(l, awaited)
		if kind == "done" || kind == "failed" || kind == "description" {
			p.busy = false
		}
		return kind, err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// silence says why there is no further line.
func (p *process) silence(expected string) error {
	if p.cut != nil {
		return p.cut
	}
	b := &Breach{Rule: RuleAlive, Expected: expected, Remedy: "a program reads standard input until it ends, and ends then"}
	timer := time.NewTimer(drained)
	defer timer.Stop()
	select {
	case <-p.exited:
		b.Got = "the end of the program: " + p.cmd.ProcessState.String()
		switch p.cmd.ProcessState.ExitCode() {
		case 0:
		case 126, 127: // the shell's own, for what it could not run
			b.Remedy = "the command is run by /bin/sh in the directory that Hone was started in"
		default:
			b.Remedy = "standard error has the reason, if the program gave one"
		}
	case <-timer.C:
		b.Got = "the end of standard output, although the program lives"
	}
	return b
}

// ending is how a process came to its end.
type ending struct {
	took time.Duration
	// signalled names the signal that it needed; empty if it ended by itself.
	signalled string
}

// stop ends the process as PROTOCOL.md promises, and returns when it is gone.
func (p *process) stop() (e ending) {
	began := time.Now()
	p.once.Do(func() { close(p.stopping) })
	p.stdin.Close()
	if !p.exits() {
		e.signalled = "SIGTERM"
		p.signal(syscall.SIGTERM)
		if !p.exits() {
			e.signalled = "SIGKILL"
			p.signal(syscall.SIGKILL)
			<-p.exited
		}
	}
	e.took = time.Since(began)
	<-p.gone
	return e
}

// exits reports whether the process ends within its grace.
func (p *process) exits() bool {
	timer := time.NewTimer(p.grace)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// kill ends the process at once, and returns when it is gone.
func (p *process) kill() {
	p.once.Do(func() { close(p.stopping) })
	p.signal(syscall.SIGKILL)
	<-p.gone
}
