// serve: servers of TCP and UDP on loopback, each for one client, that send back what they get,
// in capitals. It prints their ports first, and at last whom it had as clients.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int serve(int kind, int *port) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, kind, 0);
	if (bind(fd, (void *)&a, n) || (kind == SOCK_STREAM && listen(fd, 9)) || getsockname(fd, (void *)&a, &n)) perror("serve");
	*port = ntohs(a.sin_port);
	return fd;
}

static void raise_letters(char *text, ssize_t n) {
	for (ssize_t i = 0; i < n; i++) text[i] = toupper(text[i]);
}

int main(void) {
	int tcp_port, udp_port, tcp = serve(SOCK_STREAM, &tcp_port), udp = serve(SOCK_DGRAM, &udp_port);
	printf("%d %d\n", tcp_port, udp_port);
	fflush(stdout);
	struct sockaddr_in one, other, third;
	socklen_t n = sizeof one;
	char text[64];
	int fd = accept(tcp, (void *)&one, &n);
	ssize_t got = recv(fd, text, sizeof text, 0);
	raise_letters(text, got);
	send(fd, text, got, 0);
	n = sizeof other;
	got = recvfrom(udp, text, sizeof text, 0, (void *)&other, &n);
	raise_letters(text, got);
	sendto(udp, text, got, 0, (void *)&other, n);
	struct iovec v = {text, sizeof text};
	struct msghdr h = {.msg_name = &third, .msg_namelen = sizeof third, .msg_iov = &v, .msg_iovlen = 1};
	v.iov_len = recvmsg(udp, &h, 0);
	raise_letters(text, v.iov_len);
	sendmsg(udp, &h, 0);
	printf("%d %d %d\n", ntohs(one.sin_port), ntohs(other.sin_port), ntohs(third.sin_port));
	return 0;
}
