// Package push sends a folder, as it is on the disk, to a branch of a Git server.
//
// The user need not commit, and the user's own repository is never written to: the package keeps a repository of its own
// for each folder in the user's cache, with the folder as its work tree. Its index and objects make the second push of a
// large folder send only what changed; losing it costs nothing but time.
//
// What belongs to the folder is what Git would say: tracked files, and untracked ones that no .gitignore excludes. Files
// are taken byte by byte: no line endings are changed and no filters run.
package push

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

var (
	// ErrEmpty says that the folder holds no file that could be deployed.
	ErrEmpty = errors.New("the folder holds no files")
	// ErrTooLarge says that the folder holds more than a push may carry.
	ErrTooLarge = errors.New("the folder is too large")
	// ErrRefused says that the server did not accept the key pair.
	ErrRefused = errors.New("the Git server refused the key pair")
	// ErrNoGit says that Git is not installed.
	ErrNoGit = errors.New("git is not installed")
)

// Request says what to send where.
type Request struct {
	// Dir is the folder, an absolute path.
	Dir string
	// URL is the repository's, without user or password; Branch the branch that will hold the folder.
	URL, Branch string
	// User and Password are sent as basic authentication. They never appear among a program's arguments.
	User, Password string
	// Service is the one that is deployed afterwards: the push itself starts no automatic deployment of it.
	Service string
	// CacheDir holds the package's own repositories; "" means a temporary one.
	CacheDir string
}

// Result is what the branch holds now.
type Result struct {
	Commit string
	// IsNew says that something was sent; the branch held this very tree otherwise.
	IsNew bool
	// Files and Bytes are what the folder holds.
	Files int
	Bytes int64
}

// maxBytes is the largest folder that is sent; apron's Git server takes no larger push.
const maxBytes = 1 << 30

// Push makes the branch hold the folder, by a new commit on top of what the branch holds, if it does not hold it yet.
// The errors are the package's sentinels, or say in Git's own words what went wrong.
func Push(ctx context.Context, request Request) (Result, error) {
	repository, closeRepository, err := open(ctx, request)
	if err != nil {
		return Result{}, err
	}
	defer closeRepository()
	result, tree, err := repository.snapshot(ctx)
	var failed *gitError
	if errors.As(err, &failed) && ctx.Err() == nil {
		// The package's own repository may be damaged; it holds nothing that cannot be made again.
		if err := repository.remake(ctx); err != nil {
			return Result{}, err
		}
		result, tree, err = repository.snapshot(ctx)
	}
	if err != nil {
		return result, err
	}
	// Somebody else may push between our look and our push; Git then refuses ours, and we look again.
	for try := 0; ; try++ {
		result.Commit, result.IsNew, err = repository.send(ctx, tree)
		if err == nil || try == 2 || !errors.Is(err, errMoved) {
			return result, err
		}
	}
}

// errMoved says that the branch moved while we were looking.
var errMoved = errors.New("the branch moved")

// repository is the package's own repository for one folder and server.
type repository struct {
	request Request
	dir     string
}

// open opens or makes the repository, and locks it against a second push of the same folder.
func open(ctx context.Context, request Request) (_ repository, closeRepository func(), err error) {
	if request.CacheDir == "" {
		dir, err := os.MkdirTemp("", "apron-push-")
		if err != nil {
			return repository{}, nil, err
		}
		r := repository{request, dir}
		if err := r.init(ctx); err != nil {
			return repository{}, nil, errors.Join(err, os.RemoveAll(dir))
		}
		return r, func() { os.RemoveAll(dir) }, nil
	}
	sum := sha256.Sum256([]byte(request.Dir + "\x00" + request.URL))
	dir := filepath.Join(request.CacheDir, hex.EncodeToString(sum[:12])+".git")
	if err := os.MkdirAll(request.CacheDir, 0o700); err != nil {
		return repository{}, nil, err
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return repository{}, nil, err
	}
	r := repository{request, dir}
	if err := r.init(ctx); err != nil {
		unlock()
		return repository{}, nil, err
	}
	return r, unlock, nil
}

// init makes the repository when it is not there or not whole.
func (r repository) init(ctx context.Context) error {
	if _, err := os.Stat(r.readyMark()); err == nil {
		return os.RemoveAll(filepath.Join(r.dir, "index.lock")) // left by a push that was killed; ours is the lock that counts
	}
	return r.remake(ctx)
}

func (r repository) readyMark() string { return filepath.Join(r.dir, "apron-ready") }

// remake makes the repository anew.
func (r repository) remake(ctx context.Context) error {
	if err := os.RemoveAll(r.dir); err != nil {
		return err
	}
	if _, err := r.own(ctx, nil, "init", "--quiet", "--bare", "--template=", r.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(r.dir, "info"), 0o700); err != nil {
		return err
	}
	attributes := "* -filter -text -eol -ident -working-tree-encoding\n"
	if err := os.WriteFile(filepath.Join(r.dir, "info", "attributes"), []byte(attributes), 0o600); err != nil {
		return err
	}
	return os.WriteFile(r.readyMark(), nil, 0o600)
}

// snapshot lists the folder and writes its tree.
func (r repository) snapshot(ctx context.Context) (result Result, tree string, err error) {
	files, size, err := list(ctx, r, r.request.Dir)
	if err != nil {
		return Result{}, "", err
	}
	tree, err = r.writeTree(ctx, files)
	return Result{Files: len(files), Bytes: size}, tree, err
}

// writeTree puts exactly files into the index and writes their tree. The index is kept, so that files which did not
// change are not read again.
func (r repository) writeTree(ctx context.Context, files []string) (string, error) {
	known, err := r.own(ctx, nil, "ls-files", "-z", "--cached")
	if err != nil {
		return "", err
	}
	wanted := make(map[string]bool, len(files))
	for _, file := range files {
		wanted[file] = true
	}
	var gone []string
	for _, file := range split(known) {
		if !wanted[file] {
			gone = append(gone, file)
		}
	}
	if _, err := r.own(ctx, join(gone), "update-index", "-z", "--force-remove", "--stdin"); err != nil {
		return "", err
	}
	if _, err := r.own(ctx, join(files), "update-index", "-z", "--add", "--replace", "--stdin"); err != nil {
		return "", err
	}
	tree, err := r.own(ctx, nil, "write-tree")
	return strings.TrimSpace(string(tree)), err
}

// send makes the branch hold tree, and returns its commit. errMoved when the branch moved meanwhile.
func (r repository) send(ctx context.Context, tree string) (commit string, isNew bool, err error) {
	head, err := r.remoteHead(ctx)
	if err != nil {
		return "", false, err
	}
	arguments := []string{"commit-tree", tree}
	if head != "" {
		headTree, err := r.own(ctx, nil, "rev-parse", "--verify", head+"^{tree}")
		if err != nil {
			return "", false, err
		}
		if strings.TrimSpace(string(headTree)) == tree {
			return head, false, nil
		}
		arguments = append(arguments, "-p", head)
	}
	arguments = append(arguments, "-m", describe(ctx, r.request.Dir))
	made, err := r.ownAs(ctx, author(ctx, r.request.Dir), nil, arguments...)
	if err != nil {
		return "", false, err
	}
	commit = strings.TrimSpace(string(made))
	if err := r.push(ctx, commit); err != nil {
		return "", false, err
	}
	_, err = r.own(ctx, nil, "update-ref", "refs/heads/sent", commit)
	return commit, true, err
}

// remoteHead returns the branch's commit, whose objects are then here, or "" when the branch is not there yet. A server
// that cannot be asked is found out by the push, which says why in better words.
func (r repository) remoteHead(ctx context.Context) (string, error) {
	branch := "refs/heads/" + r.request.Branch
	answer, err := r.remote(ctx, "ls-remote", r.request.URL, branch)
	if err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "", nil
	}
	head, _, _ := strings.Cut(string(answer), "\t")
	head = strings.TrimSpace(head)
	if head == "" {
		return "", nil
	}
	if _, err := r.own(ctx, nil, "cat-file", "-e", head+"^{tree}"); err == nil {
		return head, nil
	}
	_, err = r.remote(ctx, "fetch", "--quiet", "--depth=1", "--no-tags", r.request.URL, branch)
	return head, err
}

func (r repository) push(ctx context.Context, commit string) error {
	_, err := r.remote(ctx, "push", "--porcelain", r.request.URL, commit+":refs/heads/"+r.request.Branch)
	var failed *gitError
	if !errors.As(err, &failed) {
		return err
	}
	for _, mark := range []string{"fetch first", "non-fast-forward", "cannot lock ref", "failed to update ref"} {
		if strings.Contains(failed.output, mark) {
			return fmt.Errorf("%w: %w", errMoved, err)
		}
	}
	if strings.Contains(failed.output, "Authentication failed") || strings.Contains(failed.output, "could not read Username") {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// Authorization is the header's value for http.extraHeader.
func (r Request) Authorization() string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(r.User+":"+r.Password))
}

func split(list []byte) []string {
	list = bytes.TrimSuffix(list, []byte{0})
	if len(list) == 0 {
		return nil
	}
	return strings.Split(string(list), "\x00")
}

func join(files []string) []byte {
	var list bytes.Buffer
	for _, file := range files {
		list.WriteString(file)
		list.WriteByte(0)
	}
	return list.Bytes()
}
