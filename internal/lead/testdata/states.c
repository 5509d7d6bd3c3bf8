// states NAME: connects sockets in every state to port 443 of a name; a line for each.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in four;
static struct sockaddr_in6 six;

static int go(int fd) {
	struct sockaddr_in a = four; /* of its own: it may be changed */
	return connect(fd, (void *)&a, sizeof a) ? errno : 0;
}

static int waits(int fd, int r) {
	if (r && r != EINPROGRESS) return r;
	struct pollfd p = {fd, POLLOUT, 0};
	if (poll(&p, 1, 10000) != 1) return ETIMEDOUT;
	socklen_t n = sizeof r;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &r, &n);
	return r;
}

static void result(const char *name, int fd, int r) {
	char text[256] = "";
	if (!r) {
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
		ssize_t n = read(fd, text, sizeof text - 1);
		if (n < 0) r = errno;
	}
	printf("%s: %s", name, r ? strerror(r) : text);
	if (r) puts("");
	fflush(stdout);
	close(fd);
}

static int tcp(void) { return socket(AF_INET, SOCK_STREAM, 0); }

int main(int argc, char **argv) {
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *all;
	if (argc != 2 || getaddrinfo(argv[1], "443", &hints, &all)) return 1;
	four = *(struct sockaddr_in *)all->ai_addr;
	six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = four.sin_port};
	six.sin6_addr.s6_addr[10] = six.sin6_addr.s6_addr[11] = 0xff;
	memcpy(six.sin6_addr.s6_addr + 12, &four.sin_addr, 4);
	int one = 1, fd = tcp();
	result("plain", fd, go(fd));

	struct sockaddr_in any = {.sin_family = AF_INET};
	fd = tcp();
	bind(fd, (void *)&any, sizeof any);
	result("bound", fd, go(fd));

	fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 mapped = six;
	if (fd >= 0) result("mapped", fd, connect(fd, (void *)&mapped, sizeof mapped) ? errno : 0);
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct { struct sockaddr_in6 a; char guard[8]; } unscoped = {six, "guarded"};
	unscoped.a.sin6_scope_id = 0x5a5a5a5a;
	if (fd >= 0) result("mapped, without a scope", fd, connect(fd, (void *)&unscoped, sizeof six - 4) ? errno : unscoped.a.sin6_scope_id != 0x5a5a5a5a ? EFAULT : 0);

	fd = tcp();
	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2);
	result("on a device", fd, go(fd));

	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	result("non-blocking", fd, waits(fd, go(fd)));

	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int ep = epoll_create1(0), r;
	struct epoll_event e = {.events = EPOLLOUT | EPOLLET};
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	epoll_wait(ep, &e, 1, 0);
	r = go(fd);
	if (r == EINPROGRESS) r = 0;
	result("watched before", fd, r ? r : epoll_wait(ep, &e, 1, 10000) == 1 && !(e.events & EPOLLERR) ? 0 : ETIMEDOUT);

	struct timeval limit = {3, 0};
	fd = tcp();
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	result("with a time-out", fd, go(fd));

	fd = tcp();
	r = go(fd);
	result("a second time", fd, r ? r : go(fd) == EISCONN ? 0 : EALREADY);

	fd = tcp();
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	r = go(fd);
	int delay = 0, alive = 0;
	socklen_t n = sizeof delay;
	getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &delay, &n);
	getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &alive, &n);
	result("with options", fd, r ? r : delay && alive ? 0 : ENOPROTOOPT);

	fd = tcp();
	int other = dup(fd);
	r = go(fd);
	close(fd);
	result("duplicated", other, r);

	fd = tcp();
	setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one);
	r = go(fd);
	result("fast open", fd, r ? r : write(fd, "x", 1) == 1 ? 0 : errno);

	fd = tcp();
	struct sockaddr_in a = four;
	result("fast open by sendto", fd, sendto(fd, "x", 1, MSG_FASTOPEN, (void *)&a, sizeof a) == 1 ? 0 : errno);

	fd = tcp();
	a = four;
	struct iovec v = {"x", 1};
	struct msghdr h = {.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &v, .msg_iovlen = 1};
	result("fast open by sendmsg", fd, sendmsg(fd, &h, MSG_FASTOPEN) == 1 ? 0 : errno);

	fd = socket(AF_INET, SOCK_STREAM, 262); /* IPPROTO_MPTCP; not every kernel has it */
	if (fd < 0) fd = tcp();
	result("multipath", fd, go(fd));

	/* The same address once more after it may have been changed. */
	a = four;
	fd = tcp();
	r = connect(fd, (void *)&a, sizeof a) ? errno : 0;
	close(fd);
	fd = tcp();
	result("the same address again", fd, r ? r : connect(fd, (void *)&a, sizeof a) ? errno : 0);

	/* No destination, no connection, and nobody to be asked. */
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	a = four;
	printf("datagrams: %s\n", connect(fd, (void *)&a, sizeof a) || a.sin_port != four.sin_port ? "changed" : "untouched");
	fd = tcp();
	printf("no memory: %s\n", connect(fd, (void *)8, sizeof a) ? strerrorname_np(errno) : "connected");
	printf("no socket: %s\n", connect(0, (void *)&a, sizeof a) ? strerrorname_np(errno) : "connected");
	printf("no file: %s\n", connect(9999, (void *)&a, sizeof a) ? strerrorname_np(errno) : "connected");
	printf("too short: %s\n", connect(fd, (void *)&a, 7) ? strerrorname_np(errno) : "connected");
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	printf("disconnected: %s\n", connect(fd, &none, sizeof none) ? strerrorname_np(errno) : "yes");
	return 0;
}
