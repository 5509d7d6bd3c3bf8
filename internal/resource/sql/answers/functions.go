package answers

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// version is @@VERSION. Source: microsoft/go-mssqldb and dotnet/SqlClient issues of 2024 and 2025 quote it.
const version = "Microsoft SQL Azure (RTM) - 12.0.2000.8 \n\tJan 1 2026 00:00:00 \n\tCopyright (C) 2026 Microsoft Corporation\n"

// global is @@name.
func (s *Session) global(name string) expression {
	e, ok := map[string]expression{
		"VERSION":       constant(tds.NVarChar(300), version),
		"SERVERNAME":    constant(tds.NVarChar(128), s.login.Server),
		"SPID":          constant(tds.SmallInt, s.login.SPID),
		"TRANCOUNT":     computed(tds.Int, func() any { return s.open }),
		"ROWCOUNT":      computed(tds.Int, func() any { return s.rows }),
		"LANGUAGE":      constant(tds.NVarChar(128), "us_english"),
		"MAX_PRECISION": constant(tds.TinyInt, int64(38)),
	}[name]
	require(ok)
	return e
}

// niladic are functions without parentheses.
func (s *Session) niladic(name string) (expression, bool) {
	switch name {
	case "SYSTEM_USER":
		return constant(tds.NVarChar(128), s.login.Name), true
	case "USER", "CURRENT_USER", "SESSION_USER":
		return constant(tds.NVarChar(128), s.login.User), true
	case "CURRENT_TIMESTAMP":
		return computed(tds.DateTime, func() any { return s.now().UTC() }), true
	}
	return expression{}, false
}

// call reads the arguments of a function, whose opening parenthesis was taken.
func (p *parser) call(name string) expression {
	var arguments []expression
	for !p.accept(")") {
		require(len(arguments) == 0 || p.accept(","))
		arguments = append(arguments, p.expression())
	}
	s := p.session
	switch len(arguments) {
	case 0:
		return s.function(name)
	case 1:
		return s.function1(name, arguments[0])
	case 2:
		return s.function2(name, arguments[0], arguments[1])
	}
	panic(notAnswered)
}

func (s *Session) function(name string) expression {
	text := func(v string) expression { return constant(tds.NVarChar(128), v) }
	login, now := text(s.login.Name), computed(tds.DateTime, func() any { return s.now().UTC() }) // Azure SQL's time zone is UTC
	exactly := computed(tds.DateTime2(7), func() any { return s.now().UTC().Truncate(100 * time.Nanosecond) })
	e, ok := map[string]expression{
		"SUSER_SNAME": login, "SUSER_NAME": login, "ORIGINAL_LOGIN": login,
		"SUSER_SID":   constant(tds.VarBinary(85), s.login.SID[:]),
		"USER_NAME":   text(s.login.User),
		"DB_NAME":     text(s.Database()),
		"SCHEMA_NAME": text("dbo"),
		"APP_NAME":    text(s.login.App),
		"HOST_NAME":   text(s.login.Host),
		"GETDATE":     now, "GETUTCDATE": now, "SYSDATETIME": exactly, "SYSUTCDATETIME": exactly,
		"XACT_STATE": computed(tds.SmallInt, func() any { return min(s.open, 1) }),
	}[name]
	require(ok)
	return e
}

func (s *Session) function1(name string, a expression) expression {
	of := func(t tds.Type, f func(string) any) expression {
		require(a.of.IsText())
		return expression{of: t, value: func(r row) (any, error) {
			v, err := a.value(r)
			if err != nil || v == nil {
				return nil, err
			}
			return f(v.(string)), nil
		}}
	}
	switch name {
	case "SERVERPROPERTY":
		return of(tds.NVarChar(128), func(property string) any {
			// Source: learn.microsoft.com, serverproperty-transact-sql
			values := map[string]string{"productversion": "12.0.2000.8", "productlevel": "RTM", "edition": "SQL Azure", "servername": s.login.Server, "collation": "SQL_Latin1_General_CP1_CI_AS"}
			if v, ok := values[strings.ToLower(property)]; ok {
				return v
			}
			return nil
		})
	case "IS_MEMBER", "IS_ROLEMEMBER":
		return of(tds.Int, func(role string) any {
			known, ok := fixedRole(role)
			switch {
			case strings.EqualFold(role, "public"):
				return int64(1)
			case !ok:
				return nil
			case slices.Contains(s.roles(), known):
				return int64(1)
			}
			return int64(0)
		})
	case "QUOTENAME":
		return of(tds.NVarChar(258), func(name string) any {
			if utf8.RuneCountInString(name) > maxName {
				return nil
			}
			return "[" + strings.ReplaceAll(name, "]", "]]") + "]"
		})
	case "DATABASE_PRINCIPAL_ID", "USER_ID":
		return of(tds.Int, func(name string) any {
			for _, u := range s.principals() {
				if strings.EqualFold(u["name"].(string), name) {
					return u["principal_id"]
				}
			}
			return nil
		})
	}
	panic(notAnswered)
}

func (s *Session) function2(name string, a, b expression) expression {
	switch {
	case name == "IS_ROLEMEMBER" && a.of.IsText() && b.of.IsText():
		return expression{of: tds.Int, value: func(r row) (any, error) {
			role, err := a.value(r)
			if err != nil || role == nil {
				return nil, err
			}
			user, err := b.value(r)
			if err != nil || user == nil {
				return nil, err
			}
			known, ok := fixedRole(role.(string))
			for _, u := range s.database.Users() {
				if ok && strings.EqualFold(u.Name, user.(string)) {
					if slices.Contains(u.Roles, known) {
						return int64(1), nil
					}
					return int64(0), nil
				}
			}
			return nil, nil
		}}
	case (name == "ISNULL" || name == "COALESCE") && similar(a.of, b.of):
		if name == "ISNULL" { // its type is that of the first
			b = cast(b, a.of, 0)
		}
		return expression{of: wider(a.of, b.of), value: func(r row) (any, error) {
			if v, err := a.value(r); err != nil || v != nil {
				return v, err
			}
			return b.value(r)
		}}
	}
	panic(notAnswered)
}
