// get NAME[:PORT]...: looks each name up, connects, and prints what the server says.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int get(char *name) {
	char *port = strchr(name, ' ');
	if (port) *port++ = 0;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = getenv("ADDRCONFIG") ? AI_ADDRCONFIG : 0}, *a;
	int failed = getaddrinfo(name, port ? port : "443", &hints, &a);
	if (failed) {
		printf("%s: %s\n", name, gai_strerror(failed));
		return 1;
	}
	int fd = socket(a->ai_family, SOCK_STREAM, 0);
	if (connect(fd, a->ai_addr, a->ai_addrlen)) {
		printf("%s: %s\n", name, strerror(errno));
		return 1;
	}
	freeaddrinfo(a);
	char text[512];
	ssize_t n;
	while ((n = read(fd, text, sizeof text)) > 0) fwrite(text, 1, n, stdout);
	fflush(stdout);
	return close(fd);
}

int main(int argc, char **argv) {
	int failed = 0;
	for (int i = 1; i < argc; i++) failed |= get(argv[i]);
	char *again = getenv("AGAIN"); // the name under which it does all that once more
	if (failed || !again) return failed;
	unsetenv("AGAIN");
	argv[0] = again;
	return execv("/proc/self/exe", argv);
}
