package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// stepParts are where the work of an operation's steps is done.
var stepParts = []string{"build", "compute/containerd", "compute/network/attachhost.go", "deploy", "operation", "source"}

func TestEveryExplainedFailureOfAStepSaysWhatToTry(t *testing.T) {
	files, explained := token.NewFileSet(), 0
	check := func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declaration := range file.Decls {
			all, silent := explanations(declaration)
			explained += all
			for _, call := range silent {
				t.Errorf("%s: platform.Explain without Try", files.Position(call.Pos()))
			}
		}
		return nil
	}
	for _, part := range stepParts {
		if err := filepath.WalkDir(filepath.FromSlash(part), check); err != nil {
			t.Fatal(err)
		}
	}
	if explained < 100 {
		t.Errorf("only %d explanations were found", explained)
	}
}

// explanations returns how many calls of platform.Explain a declaration has, and those on whose result, or the variable
// that holds it, Try is never called.
func explanations(declaration ast.Decl) (all int, silent []*ast.CallExpr) {
	tried, triedNames, names := map[*ast.CallExpr]bool{}, map[string]bool{}, map[*ast.CallExpr]string{}
	var found []*ast.CallExpr
	ast.Inspect(declaration, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.CallExpr:
			selector, isMethod := node.Fun.(*ast.SelectorExpr)
			if !isMethod {
				return true
			}
			if receiver, isName := selector.X.(*ast.Ident); isName && receiver.Name == "platform" && selector.Sel.Name == "Explain" {
				found = append(found, node)
			} else if isName && selector.Sel.Name == "Try" {
				triedNames[receiver.Name] = true
			} else if call := explanationOf(selector.X); call != nil && selector.Sel.Name == "Try" {
				tried[call] = true
			}
		case *ast.AssignStmt:
			for i, value := range node.Rhs {
				if name, isName := node.Lhs[min(i, len(node.Lhs)-1)].(*ast.Ident); isName && explanationOf(value) != nil {
					names[explanationOf(value)] = name.Name
				}
			}
		}
		return true
	})
	for _, call := range found {
		if !tried[call] && !triedNames[names[call]] {
			silent = append(silent, call)
		}
	}
	return len(found), silent
}

// explanationOf returns the call of platform.Explain that a chain of calls begins with, or nil.
func explanationOf(value ast.Expr) *ast.CallExpr {
	for {
		call, isCall := value.(*ast.CallExpr)
		if !isCall {
			return nil
		}
		selector, isMethod := call.Fun.(*ast.SelectorExpr)
		if !isMethod {
			return nil
		}
		if name, isName := selector.X.(*ast.Ident); isName && name.Name == "platform" && selector.Sel.Name == "Explain" {
			return call
		}
		value = selector.X
	}
}
