package main

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"
)

// What clients of Azure SQL and of Azure Database for PostgreSQL ask a token for.
const (
	sqlScope      = "https://database.windows.net/.default"
	postgresScope = "https://ossrdbms-aad.database.windows.net/.default"
)

func chooseSQL(words []string, o doing) (action, error) {
	if len(words) != 5 || words[1] != "query" {
		return nil, errors.New("sql: expected query SERVER DATABASE STATEMENT, with NAME of NAME.database.windows.net as SERVER")
	}
	at := url.URL{Scheme: "sqlserver", Host: words[2] + ".database.windows.net", RawQuery: url.Values{"database": {words[3]}, "encrypt": {"true"}}.Encode()}
	config, err := msdsn.Parse(at.String())
	if err != nil {
		return nil, err
	}
	p := &pool{scope: cmp.Or(o.scope, sqlScope), lifetime: o.connectionLives}
	p.open = func() (driver.Connector, error) { return mssql.NewSecurityTokenConnector(config, p.token) }
	return p.query(words[4]), nil
}

func choosePostgres(words []string, o doing) (action, error) {
	if len(words) != 6 || words[1] != "query" {
		return nil, errors.New("postgres: expected query SERVER DATABASE ROLE STATEMENT, with NAME of NAME.postgres.database.azure.com as SERVER")
	}
	at := url.URL{Scheme: "postgres", User: url.User(words[4]), Host: words[2] + ".postgres.database.azure.com", Path: "/" + words[3], RawQuery: "sslmode=verify-full"}
	config, err := pgx.ParseConfig(at.String())
	if err != nil {
		return nil, err
	}
	p := &pool{scope: cmp.Or(o.scope, postgresScope), lifetime: o.connectionLives}
	p.open = func() (driver.Connector, error) {
		return stdlib.GetConnector(*config, stdlib.OptionBeforeConnect(func(ctx context.Context, c *pgx.ConnConfig) (err error) {
			c.Password, err = p.token(ctx)
			return err
		})), nil
	}
	return p.query(words[5]), nil
}

// pool is one of database/sql, with a connection that stays open over all attempts, and a token
// for each time that it connects.
type pool struct {
	scope    string
	lifetime time.Duration // of a connection. If 0, it stays open for good
	open     func() (driver.Connector, error)

	credential azcore.TokenCredential
	db         *sql.DB
}

func (p *pool) token(ctx context.Context) (string, error) {
	got, err := p.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{p.scope}})
	return got.Token, err
}

func (p *pool) query(statement string) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		p.credential = credential
		if p.db == nil {
			connector, err := p.open()
			if err != nil {
				return Answer{}, err
			}
			p.db = sql.OpenDB(connector)
			p.db.SetMaxOpenConns(1)
			p.db.SetConnMaxLifetime(p.lifetime)
		}
		rows, err := p.db.QueryContext(ctx, statement)
		if err != nil {
			return Answer{}, err
		}
		defer func() { _ = rows.Close() }() // what went wrong is in rows.Err
		answer := Answer{}
		if columns, err := rows.ColumnTypes(); err != nil {
			return Answer{}, err
		} else if len(columns) > 0 {
			all := [][]any{}
			for rows.Next() {
				row, err := scan(rows, columns)
				if err != nil {
					return Answer{}, err
				}
				all = append(all, row)
			}
			answer.Value = all
		}
		return answer, rows.Err()
	}
}

// scan reads a row, with what JSON has no form of as text.
func scan(rows *sql.Rows, columns []*sql.ColumnType) ([]any, error) {
	row, at := make([]any, len(columns)), make([]any, len(columns))
	for n := range row {
		at[n] = &row[n]
	}
	if err := rows.Scan(at...); err != nil {
		return nil, err
	}
	for n, value := range row {
		raw, ok := value.([]byte)
		if !ok {
			continue
		}
		switch columns[n].DatabaseTypeName() {
		case "DECIMAL", "MONEY", "SMALLMONEY":
			row[n] = string(raw)
		case "UNIQUEIDENTIFIER":
			var id mssql.UniqueIdentifier
			if err := id.Scan(raw); err != nil {
				return nil, err
			}
			row[n] = id.String()
		default:
			row[n] = "0x" + hex.EncodeToString(raw)
		}
	}
	return row, nil
}

// byDatabase reads the error of a SQL Server or a PostgreSQL: its text, and as the reason its
// number or SQLSTATE.
func byDatabase(err error) (Answer, bool) {
	var refused mssql.Error
	var told *pgconn.PgError
	switch {
	case errors.As(err, &refused):
		return Answer{Error: refused.Message, Reason: strconv.Itoa(int(refused.Number))}, true
	case errors.As(err, &told):
		return Answer{Error: told.Message, Reason: told.Code}, true
	}
	return Answer{}, false
}
