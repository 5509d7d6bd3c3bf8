package sql_test

import "testing"

func BenchmarkLogin(b *testing.B) {
	l := newLab(b, orders())
	db := l.open(l.token(), "sales")
	db.SetMaxIdleConns(-1)
	for b.Loop() {
		must(b, db.Ping())
	}
}

func BenchmarkSelect1(b *testing.B) {
	l := newLab(b, orders())
	db := l.open(l.token(), "sales")
	var one int
	for b.Loop() {
		must(b, db.QueryRow("SELECT 1").Scan(&one))
	}
}

func BenchmarkSelect1OfASQLServer(b *testing.B) {
	l, _ := withEngine(b, "secret")
	db := l.open(l.token(), "sales")
	var one int
	for b.Loop() {
		must(b, db.QueryRow("SELECT 1").Scan(&one))
	}
}
