package git

import "strings"

// links maps the path of each symbolic link in a tree to its target.
type links map[string]string

// maxHops is how many links the kernel follows before it gives up.
const maxHops = 40

// escapes says whether following the link at path leads out of the tree, also by way of other links: with the link
// "up -> .." inside the folder a, "a/up/.." is outside although it reads as if it were not.
func (l links) escapes(path string) bool {
	var at []string // where we are, in folders below the root
	ahead := strings.Split(path, "/")
	for hops := 0; len(ahead) > 0; {
		step := ahead[0]
		ahead = ahead[1:]
		switch step {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return true
			}
			at = at[:len(at)-1]
			continue
		}
		at = append(at[:len(at):len(at)], step)
		target, isLink := l[strings.Join(at, "/")]
		if !isLink {
			continue
		}
		if strings.HasPrefix(target, "/") {
			return true
		}
		if hops++; hops > maxHops {
			return false // it leads nowhere
		}
		at = at[:len(at)-1]
		ahead = append(strings.Split(target, "/"), ahead...)
	}
	return false
}
