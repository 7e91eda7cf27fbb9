//go:build linux

package powerloss

import (
	"io"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// names answers the kernel: the disk as a file system.
type names struct {
	fuse.RawFileSystem
	disk *Disk
}

// The kernel may keep what it was told: nobody else changes anything.
const valid = 3600 // seconds

func (n *names) String() string { return "powerloss" }

// dir is the directory of a request. d.mu is held, here and in attr.
func (d *Disk) dir(id uint64) (*inode, fuse.Status) {
	in := d.inodes[id]
	switch {
	case in == nil:
		return nil, fuse.ENOENT
	case !in.isDir():
		return nil, fuse.ENOTDIR
	}
	return in, fuse.OK
}

func (d *Disk) attr(in *inode, out *fuse.Attr) fuse.Status {
	if !in.isDir() {
		var s syscall.Stat_t
		if err := syscall.Stat(d.path(in), &s); err != nil {
			return fuse.ToStatus(err)
		}
		out.FromStat(&s)
	} else {
		out.SetTimes(nil, &in.mtime, &in.mtime)
	}
	out.Ino, out.Mode, out.Nlink = in.id, in.mode, 1
	out.Uid, out.Gid = uint32(os.Getuid()), uint32(os.Getgid())
	return fuse.OK
}

func (d *Disk) found(in *inode, out *fuse.EntryOut) fuse.Status {
	out.NodeId, out.EntryValid, out.AttrValid = in.id, valid, valid
	return d.attr(in, &out.Attr)
}

func (n *names) Lookup(_ <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	d := n.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, status := d.dir(header.NodeId)
	if status != fuse.OK {
		return status
	}
	in := dir.entries[name]
	if in == nil {
		return fuse.ENOENT
	}
	return d.found(in, out)
}

func (n *names) GetAttr(_ <-chan struct{}, input *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	d := n.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	in := d.inodes[input.NodeId]
	if in == nil {
		return fuse.ENOENT
	}
	out.AttrValid = valid
	return d.attr(in, &out.Attr)
}

func (n *names) SetAttr(_ <-chan struct{}, input *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	d := n.disk
	d.mu.Lock()
	in := d.inodes[input.NodeId]
	if in == nil {
		d.mu.Unlock()
		return fuse.ENOENT
	}
	if mode, ok := input.GetMode(); ok {
		in.mode = in.mode&syscall.S_IFMT | mode&^syscall.S_IFMT
	}
	path := d.path(in)
	d.mu.Unlock()
	if size, ok := input.GetSize(); ok {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return fuse.ToStatus(err)
		}
		defer file.Close()
		if err := in.truncate(file, int64(size)); err != nil {
			return fuse.ToStatus(err)
		}
	}
	if mtime, ok := input.GetMTime(); ok && !in.isDir() {
		if err := os.Chtimes(path, time.Time{}, mtime); err != nil {
			return fuse.ToStatus(err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	out.AttrValid = valid
	return d.attr(in, &out.Attr)
}

func (n *names) Mkdir(_ <-chan struct{}, input *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	d := n.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, status := d.dir(input.NodeId)
	switch {
	case status != fuse.OK:
		return status
	case dir.entries[name] != nil:
		return fuse.Status(syscall.EEXIST)
	}
	in := d.fresh(syscall.S_IFDIR | input.Mode&0o7777)
	d.set(dir, change{{name, in}})
	return d.found(in, out)
}

func (n *names) Create(_ <-chan struct{}, input *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	d := n.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, status := d.dir(input.NodeId)
	switch {
	case status != fuse.OK:
		return status
	case dir.entries[name] != nil:
		return fuse.Status(syscall.EEXIST)
	}
	in := d.fresh(syscall.S_IFREG | input.Mode&0o7777)
	file, err := os.OpenFile(d.path(in), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		delete(d.inodes, in.id)
		return fuse.ToStatus(err)
	}
	d.set(dir, change{{name, in}})
	out.Fh = d.hold(in, file)
	return d.found(in, &out.EntryOut)
}

func (n *names) Link(_ <-chan struct{}, input *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	d := n.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, status := d.dir(input.NodeId)
	in := d.inodes[input.Oldnodeid]
	switch {
	case status != fuse.OK:
		return status
	case in == nil:
		return fuse.ENOENT
	case in.isDir():
		return fuse.EPERM
	case dir.entries[name] != nil:
		return fuse.Status(syscall.EEXIST)
	}
	d.set(dir, change{{name, in}})
	return d.found(in, out)
}

func (n *names) Unlink(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return n.remove(header, name, false)
}

func (n *names) Rmdir(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return n.remove(header, name, true)
}

func (n *names) remove(header *fuse.InHeader, name string, isDir bool) fuse.Status {
	d := n.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, status := d.dir(header.NodeId)
	if status != fuse.OK {
		return status
	}
	in := dir.entries[name]
	switch {
	case in == nil:
		return fuse.ENOENT
	case in.isDir() && !isDir:
		return fuse.EISDIR
	case !in.isDir() && isDir:
		return fuse.ENOTDIR
	case len(in.entries) > 0:
		return fuse.Status(syscall.ENOTEMPTY)
	}
	d.set(dir, change{{name, nil}})
	return fuse.OK
}

func (n *names) Rename(_ <-chan struct{}, input *fuse.RenameIn, from, to string) fuse.Status {
	d := n.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	source, status := d.dir(input.NodeId)
	if status != fuse.OK {
		return status
	}
	target, status := d.dir(input.Newdir)
	if status != fuse.OK {
		return status
	}
	const noReplace = 1
	in, there := source.entries[from], target.entries[to]
	switch {
	case in == nil:
		return fuse.ENOENT
	case input.Flags&^noReplace != 0:
		return fuse.EINVAL
	case there == in:
		return fuse.OK
	case there == nil:
	case input.Flags&noReplace != 0:
		return fuse.Status(syscall.EEXIST)
	case there.isDir() && !in.isDir():
		return fuse.EISDIR
	case !there.isDir() && in.isDir():
		return fuse.ENOTDIR
	case len(there.entries) > 0:
		return fuse.Status(syscall.ENOTEMPTY)
	}
	if source == target {
		d.set(source, change{{to, in}, {from, nil}})
		return fuse.OK
	}
	d.set(target, change{{to, in}})
	d.set(source, change{{from, nil}})
	return fuse.OK
}

func (n *names) Open(_ <-chan struct{}, input *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	d := n.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	in := d.inodes[input.NodeId]
	if in == nil {
		return fuse.ENOENT
	}
	file, err := os.OpenFile(d.path(in), os.O_RDWR, 0)
	if err != nil {
		return fuse.ToStatus(err)
	}
	out.Fh, out.OpenFlags = d.hold(in, file), fuse.FOPEN_KEEP_CACHE
	return fuse.OK
}

func (n *names) Release(_ <-chan struct{}, input *fuse.ReleaseIn) { n.release(input) }

func (n *names) ReleaseDir(input *fuse.ReleaseIn) { n.release(input) }

func (n *names) release(input *fuse.ReleaseIn) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.disk.release(input.Fh)
}

func (n *names) handle(id uint64) (*handle, fuse.Status) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if h := n.disk.open[id]; h != nil {
		return h, fuse.OK
	}
	return nil, fuse.EBADF
}

func (n *names) Read(_ <-chan struct{}, input *fuse.ReadIn, b []byte) (fuse.ReadResult, fuse.Status) {
	h, status := n.handle(input.Fh)
	if status != fuse.OK {
		return nil, status
	}
	got, err := h.file.ReadAt(b, int64(input.Offset))
	if err != nil && err != io.EOF {
		return nil, fuse.ToStatus(err)
	}
	return fuse.ReadResultData(b[:got]), fuse.OK
}

func (n *names) Write(_ <-chan struct{}, input *fuse.WriteIn, b []byte) (uint32, fuse.Status) {
	h, status := n.handle(input.Fh)
	if status != fuse.OK {
		return 0, status
	}
	written, err := h.in.write(h.file, b, int64(input.Offset))
	return uint32(written), fuse.ToStatus(err)
}

func (n *names) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (n *names) Fallocate(_ <-chan struct{}, input *fuse.FallocateIn) fuse.Status {
	h, status := n.handle(input.Fh)
	if status != fuse.OK {
		return status
	}
	return fuse.ToStatus(h.in.allocate(h.file, input.Mode, int64(input.Offset), int64(input.Length)))
}

// wait waits while the disk hangs, or until nobody waits for it any more.
func (d *Disk) wait(cancel <-chan struct{}) fuse.Status {
	for {
		d.mu.Lock()
		stalled := d.stalled
		d.mu.Unlock()
		if stalled == nil {
			return fuse.OK
		}
		select {
		case <-stalled:
		case <-cancel:
			return fuse.EINTR
		}
	}
}

func (n *names) Fsync(cancel <-chan struct{}, input *fuse.FsyncIn) fuse.Status {
	if status := n.disk.wait(cancel); status != fuse.OK {
		return status
	}
	h, status := n.handle(input.Fh)
	if status != fuse.OK {
		return status
	}
	return fuse.ToStatus(h.in.sync(h.file))
}

func (n *names) FsyncDir(cancel <-chan struct{}, input *fuse.FsyncIn) fuse.Status {
	d := n.disk
	if status := d.wait(cancel); status != fuse.OK {
		return status
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, status := d.dir(input.NodeId)
	if status != fuse.OK {
		return status
	}
	d.settle(dir)
	return fuse.OK
}

func (n *names) OpenDir(_ <-chan struct{}, input *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	d := n.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, status := d.dir(input.NodeId)
	if status != fuse.OK {
		return status
	}
	out.Fh = d.hold(dir, nil)
	d.open[out.Fh].listing = list(dir)
	return fuse.OK
}

func list(dir *inode) (listing []fuse.DirEntry) {
	for name, in := range inOrder(dir.entries) {
		listing = append(listing, fuse.DirEntry{Name: name, Mode: in.mode, Ino: in.id})
	}
	return listing
}

func (n *names) ReadDir(_ <-chan struct{}, input *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	h, status := n.handle(input.Fh)
	if status != fuse.OK {
		return status
	}
	for i := int(input.Offset); i < len(h.listing); i++ {
		e := h.listing[i]
		e.Off = uint64(i + 1)
		if !out.AddDirEntry(e) {
			break
		}
	}
	return fuse.OK
}

func (n *names) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	var s syscall.Statfs_t
	if err := syscall.Statfs(n.disk.store, &s); err != nil {
		return fuse.ToStatus(err)
	}
	out.FromStatfsT(&s)
	return fuse.OK
}
