package program

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// keeper is a tiny shell that outlives this process by a moment: it knows the
// process groups that live, and ends them when its input does, which is when the
// pool closes it or this process dies in whatever way, kill -9 included. (A
// signal on the death of the parent would miss what the program itself has
// started, follows the thread that started it, and exists on Linux only.)
type keeper struct {
	cmd   *exec.Cmd
	input *os.File
}

const keeperScript = `trap '' HUP INT QUIT TERM
groups=" "
while read -r what group; do
	case $what in
	start) groups="$groups$group " ;;
	end) groups="${groups%%" $group "*} ${groups#*" $group "}" ;;
	esac
done
for group in $groups; do kill -s KILL -- "-$group"; done`

func startKeeper() (*keeper, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the keeper: %w", err)
	}
	defer read.Close()
	k := &keeper{cmd: exec.Command("/bin/sh", "-c", keeperScript), input: write}
	k.cmd.Stdin = read
	k.cmd.Dir = "/"
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // no Ctrl-C of a terminal reaches it
	if err := k.cmd.Start(); err != nil {
		write.Close()
		return nil, fmt.Errorf("start the keeper: %w", err)
	}
	return k, nil
}

// registration is what the shell of a program does first: it tells the keeper of
// its group, by the file that is 3 there. Were it told by us, a moment would
// remain in which nobody knows of the group.
const registration = `echo "start $$" >&3; exec 3>&-; `

// ended tells of a group that is gone. A keeper that was killed cannot hear it,
// and nothing depends on it while this process lives.
func (k *keeper) ended(group int) {
	_, _ = k.input.WriteString("end " + strconv.Itoa(group) + "\n")
}

func (k *keeper) close() {
	_ = k.input.Close()
	_ = k.cmd.Wait() // whatever it says, its work is done
}
