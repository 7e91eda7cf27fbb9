// Package powerloss is a file system that forgets what was not synced, so that
// tests can cut the power of a machine: kill -9 alone proves nothing about what
// reached the disk, since the kernel keeps what a dead process had written.
//
// # What is kept
//
// It promises what POSIX does and nothing beyond, which is less than any real
// file system keeps:
//
//   - Bytes and size of a file are kept as of its last fsync or fdatasync. What
//     was preallocated or truncated since is undone too.
//   - The names in a directory (create, rename, remove, mkdir) are kept as of the
//     directory's last fsync. Syncing a file keeps nothing of its name.
//   - Within a directory, changes of names are kept in order, and a rename within
//     it as a whole. Directories know nothing of each other: after a rename from
//     one into another, of which neither was synced, the file has the old name;
//     if one was, the file may have both names, or none.
//   - A file whose name was synced and whose bytes were not is empty.
//
// [Disk.Lose] without randomness drops all that was not synced. With it, anything
// of that may have reached the disk: each sector of 512 bytes for itself, the size,
// and of a directory's changes those up to any of them. So the last write may be
// torn anywhere, and a later write be there without an earlier one.
//
// What is synced outlives the processes that wrote it, not the Disk: the file
// system itself is held in this process's memory, file contents in plain files.
//
// It needs Linux, /dev/fuse and the right to mount: [Supported] says whether it
// works here. Its owner must not map files of it into its own memory.
package powerloss
