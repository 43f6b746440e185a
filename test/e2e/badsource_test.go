package e2e

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/sample"
)

// Each of these repositories cannot be deployed, and the operation says why.
func TestCodeThatCannotBeDeployedSaysWhy(t *testing.T) {
	appFile := func(text string) map[string]string {
		return map[string]string{"apprunner.yaml": text, "app.py": "print('hello')\n"}
	}
	for name, c := range map[string]struct {
		files map[string]string
		edit  func(*types.CodeRepository)
		want  []string
	}{
		"no apprunner.yaml": {files: map[string]string{"app.py": "pass\n"}, want: []string{"there is no apprunner.yaml"}},
		"apprunner.yaml with a syntax error": {
			files: appFile("version: 1.0\nruntime: python311\nbuild:\n  commands: [\nrun:\n  command: python3 app.py\n"),
			want:  []string{"apprunner.yaml", "line ", "column "},
		},
		"unknown runtime": {
			files: appFile("version: 1.0\nruntime: cobol85\nbuild:\n  commands:\n    build:\n      - make\nrun:\n  command: ./app\n"),
			want:  []string{"apprunner.yaml line 2, column 10", "cobol85", "python311"},
		},
		"no build command": {
			files: appFile("version: 1.0\nruntime: python311\nrun:\n  command: python3 app.py\n"),
			want:  []string{"build.commands.build is missing"},
		},
		"no start command": {
			files: appFile("version: 1.0\nruntime: python311\nbuild:\n  commands:\n    build:\n      - 'true'\nrun:\n  network:\n    port: 8000\n"),
			want:  []string{"run.command"},
		},
		"a branch that does not exist": {
			files: sample.PythonApp("one"), edit: func(c *types.CodeRepository) { c.SourceCodeVersion.Value = ptr("release") },
			want: []string{"has no branch release", "main"},
		},
		"a repository that does not exist": {
			files: sample.PythonApp("one"), edit: func(c *types.CodeRepository) { c.RepositoryUrl = ptr(*c.RepositoryUrl + "-gone") },
			want: []string{"there is no", "-gone"},
		},
		"a source directory that does not exist": {
			files: sample.PythonApp("one"), edit: func(c *types.CodeRepository) { c.SourceDirectory = ptr("/backend") },
			want: []string{"backend", "does not exist"},
		},
		"a build command that fails": {
			files: appFile("version: 1.0\nruntime: python311\nbuild:\n  commands:\n    build:\n      - echo so far so good\n      - cat requirements.txt\nrun:\n  command: python3 app.py\n"),
			want:  []string{"cat requirements.txt", "so far so good", "No such file or directory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := shared(t)
			slug := "bad-" + strings.NewReplacer(" ", "-", ".", "-").Replace(name)
			input := fromCode(slug[:min(len(slug), 40)], sample.NewRepository(t, c.files).Dir)
			if c.edit != nil {
				c.edit(input.SourceConfiguration.CodeRepository)
			}
			service, id := a.Create(t, input)
			operation := service.WantOperation(t, id, "FAILED")
			wantFailure(t, operation, c.want...)
			service.WantStatus(t, types.ServiceStatusCreateFailed)
			if answer := a.Get(t, service.URL, "/"); answer.Status < 400 {
				t.Errorf("a service that was never deployed answers %d", answer.Status)
			}
			service.Delete(t)
		})
	}
}

// A source directory that leaves the repository, by its name or by a link, reads nothing outside of it.
func TestASourceDirectoryCannotLeaveTheRepository(t *testing.T) {
	t.Parallel()
	a := shared(t)
	repository := sample.NewRepository(t, sample.PythonApp("one"))
	if err := os.Symlink("/etc", repository.Dir+"/outside"); err != nil {
		t.Fatal(err)
	}
	repository.Commit("Link to the outside", nil)
	for name, directory := range map[string]string{"by its name": "../../etc", "by a link": "/outside"} {
		input := fromCode("escape-"+strings.NewReplacer(" ", "-", ".", "-").Replace(name), repository.Dir)
		input.SourceConfiguration.CodeRepository.SourceDirectory = &directory
		output, err := a.SDK().CreateService(t.Context(), input)
		if err != nil { // refused at once, which is as good
			if !strings.Contains(err.Error(), "InvalidRequestException") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		operation := a.Hold(output.Service).WantOperation(t, *output.OperationId, "FAILED")
		wantFailure(t, operation, "outside")
	}
}

func TestGitCredentialsThatAreRefusedAreNamed(t *testing.T) {
	t.Parallel()
	a := shared(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	withPassword := strings.Replace(server.URL, "http://", "http://somebody:opensesame@", 1)
	for name, address := range map[string]string{"none": server.URL, "wrong": withPassword} {
		service, id := a.Create(t, fromCode("private-code-"+name, address+"/private.git"))
		operation := service.WantOperation(t, id, "FAILED")
		wantFailure(t, operation, "credentials")
		if strings.Contains(operation.String(), "opensesame") {
			t.Errorf("the failure tells the password: %s", operation)
		}
	}
	if strings.Contains(a.LogTail(10000), "opensesame") {
		t.Error("apron's log tells the password")
	}
}

// The largest repository that is fetched has 1 GB or so; this one has more than 2.
func TestARepositoryThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	a := shared(t)
	repository := sample.NewRepository(t, sample.PythonApp("one"))
	for _, name := range []string{"data/one.bin", "data/two.bin"} {
		if err := sparseFile(repository.Dir+"/"+name, 1100<<20); err != nil { // zeros: large to check out, small to send
			t.Fatal(err)
		}
	}
	repository.Git("add", "--all")
	repository.Git("commit", "--quiet", "--message", "Add the data")
	service, id := a.Create(t, fromCode("too-large", repository.Dir))
	operation := service.WantOperation(t, id, "FAILED")
	wantFailure(t, operation, "larger than")
	if used := treeSize(t, a.Data+"/sources"); used > 64<<20 {
		t.Errorf("%d bytes of the refused repository are kept", used)
	}
}

// sparseFile makes a file of zeros.
func sparseFile(path string, bytes int64) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Truncate(bytes)
}

// treeSize adds up what the files below a folder have.
func treeSize(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // files come and go
		}
		if info, err := entry.Info(); err == nil {
			bytes += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
