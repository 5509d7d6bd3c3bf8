// Command go-redis is a client of the conformance table: what go-redis does with caches, each
// operation once, logged in by a StreamingCredentialsProvider.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wiemu/wiemu/scenarios/conformance/clients/internal/round"
)

const (
	orders  = "orders.redis.cache.windows.net:6380"
	managed = "orders.norwayeast.redis.azure.net:10000"
	reports = "reports.redis.cache.windows.net:6380" // to read
)

// program is a client of a cache, and whose tokens log it in.
type program struct {
	*redis.Client
	tokens *tokens
}

func main() {
	p := open(orders, newTokens())
	if len(os.Args) > 2 && os.Args[1] == "watch" {
		p.watch(os.Args[2])
	}
	round.Play([]round.Operation{
		{Name: "set", Do: p.set}, {Name: "expire", Do: p.expire}, {Name: "collections", Do: p.collections}, {Name: "pipeline", Do: p.pipeline},
		{Name: "transaction", Do: p.transaction}, {Name: "script", Do: p.script}, {Name: "subscribe", Do: p.subscribe},
		{Name: "reauthenticate", Do: p.reauthenticate}, {Name: "managed", Do: open(managed, p.tokens).set}, {Name: "denied", Do: p.denied},
	})
}

// open returns a client with one connection, besides which there are others while it is
// authenticated again. go-redis does that when the connection is to be used: one that is idle from
// the new token to the end of the old one ends with that.
func open(address string, t *tokens) *program {
	return &program{redis.NewClient(&redis.Options{
		Addr: address, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		StreamingCredentialsProvider: t, PoolSize: 1, ConnMaxIdleTime: -1, DialTimeout: time.Minute, ReadTimeout: time.Minute,
	}), t}
}

func (p *program) set(ctx context.Context) {
	round.Check(p.Set(ctx, "go:text", "two loaves", 0).Err())
	round.Equal(round.Must(p.Get(ctx, "go:text").Result()), "two loaves")
	err := p.Get(ctx, "go:none").Err()
	round.Want(errors.Is(err, redis.Nil), err)
}

func (p *program) expire(ctx context.Context) {
	round.Check(p.Set(ctx, "go:expires", "soon", time.Hour).Err())
	left := round.Must(p.TTL(ctx, "go:expires").Result())
	round.Want(left > 50*time.Minute && left <= time.Hour, left)
}

func (p *program) collections(ctx context.Context) {
	round.Check(errors.Join(p.HSet(ctx, "go:hash", "a", "1", "b", "2").Err(), p.RPush(ctx, "go:list", "x", "y").Err(), p.ZAdd(ctx, "go:set", redis.Z{Score: 2, Member: "late"}, redis.Z{Score: 1, Member: "early"}).Err()))
	hash := round.Must(p.HGetAll(ctx, "go:hash").Result())
	round.Want(len(hash) == 2 && hash["b"] == "2", hash)
	round.Equal(strings.Join(round.Must(p.LRange(ctx, "go:list", 0, -1).Result()), ""), "xy")
	round.Equal(strings.Join(round.Must(p.ZRange(ctx, "go:set", 0, -1).Result()), " "), "early late")
}

func (p *program) pipeline(ctx context.Context) {
	var counts []*redis.IntCmd
	round.Must(p.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range 100 {
			counts = append(counts, p.Incr(ctx, "go:count"))
		}
		return nil
	}))
	round.Equal(counts[99].Val(), 100)
}

func (p *program) transaction(ctx context.Context) {
	round.Check(p.Watch(ctx, func(tx *redis.Tx) error {
		done, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, "go:a", "1", 0)
			p.Incr(ctx, "go:a")
			return nil
		})
		round.Want(err != nil || len(done) == 2 && done[1].(*redis.IntCmd).Val() == 2, done)
		return err
	}, "go:a"))
}

func (p *program) script(ctx context.Context) {
	script := redis.NewScript("return redis.call('GET', KEYS[1]) .. ARGV[1]")
	round.Equal(round.Must(script.Run(ctx, p, []string{"go:text"}, "!").Text()), "two loaves!")
}

func (p *program) subscribe(ctx context.Context) {
	news := p.Subscribe(ctx, "go:news")
	defer func() { _ = news.Close() }() // there is nothing to lose
	round.Must(news.Receive(ctx))       // that it is subscribed
	round.Check(p.Publish(ctx, "go:news", "hello").Err())
	round.Equal(round.Must(news.ReceiveMessage(ctx)).Payload, "hello")
}

// reauthenticate has the client log in again on the connection that it has, with a new token.
func (p *program) reauthenticate(ctx context.Context) {
	p.mark(ctx)
	p.tokens.publish(round.Must(p.tokens.ask(ctx)))
	for range 1000 { // meanwhile others are used
		if p.name(ctx) == "first" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	panic("the connection does not come back")
}

// name returns the name of the connection that is used; "" if it has none.
func (p *program) name(ctx context.Context) string {
	name, err := p.ClientGetName(ctx).Result()
	round.Want(err == nil || errors.Is(err, redis.Nil), err)
	return name
}

// mark gives the connection a name, which another one does not have.
func (p *program) mark(ctx context.Context) {
	round.Check(p.Do(ctx, "CLIENT", "SETNAME", "first").Err())
}

func (p *program) denied(ctx context.Context) {
	c := open(reports, p.tokens)
	err := c.Get(ctx, "go:text").Err()
	round.Want(errors.Is(err, redis.Nil), err)
	err = c.Set(ctx, "go:text", "x", 0).Err()
	round.Want(err != nil && strings.HasPrefix(err.Error(), "NOPERM"), err)
}

// watch uses the cache every so often, on one connection.
func (p *program) watch(seconds string) {
	p.mark(context.Background())
	round.Watch(seconds, func(ctx context.Context, line map[string]any) {
		connection := p.name(ctx)
		p.set(ctx)
		line["connection"] = connection
	})
}
