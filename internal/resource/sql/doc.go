// Package sql emulates Azure SQL: logical servers at NAME.database.windows.net that let
// identities in by their access tokens, with databases and their contained users. It
// decides who may log in as whom and says why not; what a client asks then is answered by
// package answers, or by a SQL Server. The protocol is package tds's.
//
// Who is recognised, and what refusals say, is from the public documentation and from issues
// of drivers, as the comments say; where nothing was found, they say that it is inferred.
package sql
