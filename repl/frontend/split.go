package frontend

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"regexp"
	"strings"
)

// A Cell is one piece of Go as a user types it: imports, declarations and
// statements in any order.
type Cell struct {
	Name    string // what positions call it, such as "cell 3" or a file name
	Text    string
	Imports []*ast.ImportSpec
	Parts   []Part
}

// A Part is one top-level declaration or statement of a cell, in source order.
// Exactly one of the fields is set.
type Part struct {
	Decl ast.Decl // func, type, const, var
	Stmt ast.Stmt
}

// chunk is the source text of one part.
type chunk struct {
	offset    int
	line, col int
	text      string
	decl      bool
}

// Incomplete reports whether text is the beginning of Go that more lines could
// finish: an open bracket, string or comment, or an operator awaiting its
// operand.
func Incomplete(text string) bool {
	depth, open := 0, false
	var last token.Token
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(text))
	s.Init(file, []byte(text), func(_ token.Position, msg string) {
		if strings.Contains(msg, "not terminated") && !strings.Contains(msg, "rune") {
			open = open || strings.Contains(msg, "raw string") || strings.Contains(msg, "comment")
		}
	}, 0)
	for {
		_, tok, lit := s.Scan()
		if tok == token.EOF {
			break
		}
		switch tok {
		case token.LPAREN, token.LBRACE, token.LBRACK:
			depth++
		case token.RPAREN, token.RBRACE, token.RBRACK:
			depth--
		}
		if tok != token.SEMICOLON || lit == ";" {
			last = tok
		}
	}
	if open || depth > 0 {
		return true
	}
	if depth < 0 {
		return false
	}
	switch last {
	case token.FUNC, token.TYPE, token.VAR, token.CONST, token.IMPORT, token.PERIOD, token.COMMA,
		token.ASSIGN, token.DEFINE, token.ARROW, token.ELSE, token.NOT:
		return true
	}
	return last.IsOperator() && last.Precedence() > token.LowestPrec
}

// Parse reads a cell. Positions in its syntax and in the errors are the user's
// own line and column.
func Parse(fset *token.FileSet, name, text string) (*Cell, error) {
	text = withoutPackage(text)
	chunks, err := split(name, text)
	if err != nil {
		return nil, err
	}
	cell := &Cell{Name: name, Text: text}
	for _, c := range chunks {
		if err := cell.parseChunk(fset, c); err != nil {
			return nil, endOfCell(err, text)
		}
	}
	return cell, nil
}

// withoutPackage blanks the package clause of a file, so that whole programs are
// cells too.
func withoutPackage(text string) string {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(text))
	s.Init(file, []byte(text), nil, 0)
	pos, tok, _ := s.Scan()
	if tok != token.PACKAGE {
		return text
	}
	end, tok, name := s.Scan()
	if tok != token.IDENT {
		return text
	}
	from, to := file.Offset(pos), file.Offset(end)+len(name)
	return text[:from] + strings.Repeat(" ", to-from) + text[to:]
}

// IsProgram reports whether text is a Go file of package main with a main
// function.
func IsProgram(text string) bool {
	file, err := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	if err != nil || file.Name.Name != "main" {
		return false
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "main" {
			return true
		}
	}
	return false
}

func (cell *Cell) parseChunk(fset *token.FileSet, c chunk) error {
	here := fmt.Sprintf("/*line %s:%d:%d*/", cell.Name, c.line, c.col)
	if c.decl {
		file, err := parser.ParseFile(fset, cell.Name, "package main;"+here+c.text+"\n", parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return parseError(err)
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
				for _, s := range g.Specs {
					cell.Imports = append(cell.Imports, s.(*ast.ImportSpec))
				}
				continue
			}
			cell.Parts = append(cell.Parts, Part{Decl: d})
		}
		return nil
	}
	file, err := parser.ParseFile(fset, cell.Name, "package main;func _() {"+here+c.text+"\n}\n", parser.SkipObjectResolution)
	if err != nil {
		return parseError(err)
	}
	if len(file.Decls) != 1 {
		return Errors{{Pos: fset.Position(file.Decls[1].Pos()), Msg: "unexpected }"}}
	}
	for _, st := range file.Decls[0].(*ast.FuncDecl).Body.List {
		if _, empty := st.(*ast.EmptyStmt); !empty {
			cell.Parts = append(cell.Parts, Part{Stmt: st})
		}
	}
	return nil
}

func parseError(err error) error {
	list, ok := err.(scanner.ErrorList)
	if !ok {
		return err
	}
	list.RemoveMultiples()
	var out Errors
	for _, e := range list {
		out = append(out, Error{Pos: e.Pos, Msg: e.Msg})
	}
	return out
}

var foundPattern = regexp.MustCompile(`, found '(\}|EOF)'`)

// endOfCell words errors that the parser finds behind the cell's last line.
func endOfCell(err error, text string) error {
	list, ok := err.(Errors)
	if !ok {
		return err
	}
	last := strings.Count(strings.TrimRight(text, " \t\n"), "\n") + 1
	for i := range list {
		if list[i].Pos.Line > last && i > 0 { // follows from the others
			return list[:i]
		}
		if list[i].Pos.Line > last {
			list[i].Pos.Line, list[i].Pos.Column = last, len(strings.Split(text, "\n")[last-1])+1
			list[i].Msg = "unexpected end of cell: " + foundPattern.ReplaceAllString(list[i].Msg, "")
		}
	}
	return list
}

type lexeme struct {
	offset int
	tok    token.Token
	lit    string
}

// split cuts the text where a statement ends outside every bracket. The
// scanner inserts Go's own semicolons, so no rule is invented here.
func split(name, text string) ([]chunk, error) {
	set := token.NewFileSet()
	file := set.AddFile(name, -1, len(text))
	var lexErr Errors
	var s scanner.Scanner
	s.Init(file, []byte(text), func(p token.Position, msg string) {
		lexErr = append(lexErr, Error{Pos: p, Msg: msg})
	}, scanner.ScanComments)
	var all []lexeme
	for {
		pos, tok, lit := s.Scan()
		all = append(all, lexeme{file.Offset(pos), tok, lit})
		if tok == token.EOF {
			break
		}
	}
	if len(lexErr) > 0 {
		return nil, lexErr[:1]
	}
	var out []chunk
	begin, comment, depth := -1, -1, 0
	var lead []lexeme
	flush := func(end int) {
		if begin < 0 {
			return
		}
		decl := isDecl(lead)
		from := begin
		if decl && comment >= 0 { // keep a declaration's doc comment with it
			from = comment
		}
		p := file.Position(file.Pos(from))
		out = append(out, chunk{offset: from, line: p.Line, col: p.Column, text: text[from:end], decl: decl})
		begin, comment, lead = -1, -1, nil
	}
	for _, l := range all {
		switch l.tok {
		case token.EOF:
			flush(len(text))
			continue
		case token.COMMENT:
			if begin < 0 && comment < 0 {
				comment = l.offset
			}
			continue
		case token.LPAREN, token.LBRACE, token.LBRACK:
			depth++
		case token.RPAREN, token.RBRACE, token.RBRACK:
			if depth--; depth < 0 {
				return nil, Errors{{Pos: file.Position(file.Pos(l.offset)), Msg: "unexpected " + l.tok.String()}}
			}
		case token.SEMICOLON:
			if l.lit == ";" && inHeader(lead) {
				break
			}
			if depth <= 0 {
				if begin < 0 {
					comment = -1
				}
				flush(l.offset)
				continue
			}
		}
		if begin < 0 {
			begin = l.offset
			if comment >= 0 && strings.Contains(text[comment:begin], "\n\n") {
				comment = -1
			}
		}
		lead = append(lead, l)
	}
	return out, nil
}

// inHeader reports whether a statement that has begun with these tokens is
// still before the block of its for, if, switch or else.
func inHeader(l []lexeme) bool {
	if len(l) > 2 && l[0].tok == token.IDENT && l[1].tok == token.COLON {
		l = l[2:]
	}
	if len(l) == 0 {
		return false
	}
	switch l[0].tok {
	case token.FOR, token.IF, token.SWITCH:
	default:
		return false
	}
	header, depth := true, 0
	for _, x := range l {
		switch x.tok {
		case token.LBRACE:
			header = header && depth > 0
			depth++
		case token.LPAREN, token.LBRACK:
			depth++
		case token.RPAREN, token.RBRACE, token.RBRACK:
			depth--
		case token.ELSE:
			header = depth == 0
		}
	}
	return header
}

// isDecl tells a declaration from a statement by its first tokens; the hard
// case is a method against a function literal that is called.
func isDecl(l []lexeme) bool {
	switch l[0].tok {
	case token.IMPORT, token.TYPE, token.VAR, token.CONST, token.PACKAGE:
		return true
	case token.FUNC:
	default:
		return false
	}
	if len(l) < 2 {
		return true
	}
	if l[1].tok == token.IDENT {
		return true
	}
	depth := 0
	for i := 1; i < len(l); i++ {
		switch l[i].tok {
		case token.LPAREN:
			depth++
		case token.RPAREN:
			depth--
			if depth == 0 {
				return i+2 < len(l) && l[i+1].tok == token.IDENT && l[i+2].tok == token.LPAREN
			}
		}
	}
	return false
}
