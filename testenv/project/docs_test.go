package project

import (
	"go/ast"
	"go/token"
	"testing"
)

func TestPackageDocs(t *testing.T) {
	docs := make(map[string]int)
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		docs[s.dir()] += 0
		if s.file.Doc != nil {
			docs[s.dir()]++
		}
	}
	for dir, n := range docs {
		if n != 1 {
			t.Errorf("%s: %d files have a package comment, want 1", dir, n)
		}
	}
}

func TestExportedDocs(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || s.generated() {
			continue
		}
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && receiverExported(d) && d.Doc == nil {
					t.Errorf("%s: %s has no comment", s.at(d), d.Name.Name)
				}
			case *ast.GenDecl:
				checkSpecs(t, s, d)
			}
		}
	}
}

// receiverExported tells whether a function can be reached by its name: a
// method of an unexported type cannot.
func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	id, ok := typ.(*ast.Ident)
	return !ok || id.IsExported()
}

// checkSpecs wants a comment for each exported name, or for the group of
// constants or variables it is in.
func checkSpecs(t *testing.T, s source, d *ast.GenDecl) {
	t.Helper()
	group := d.Doc != nil && (d.Tok != token.TYPE || !d.Lparen.IsValid())
	for _, spec := range d.Specs {
		switch sp := spec.(type) {
		case *ast.TypeSpec:
			if sp.Name.IsExported() && sp.Doc == nil && !group {
				t.Errorf("%s: type %s has no comment", s.at(sp), sp.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range sp.Names {
				if name.IsExported() && sp.Doc == nil && sp.Comment == nil && !group {
					t.Errorf("%s: %s has no comment", s.at(sp), name.Name)
				}
			}
		}
	}
}
