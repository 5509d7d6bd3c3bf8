// led NAME TIMES: looks a name up, connects to its port 443 and says when, once an hour.
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
	for (int i = 0; i < atoi(argv[2]); i++) {
		if (i) sleep(3600);
		struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *a;
		if (getaddrinfo(argv[1], "443", &hints, &a)) return 1;
		int fd = socket(a->ai_family, SOCK_STREAM, 0);
		if (connect(fd, a->ai_addr, a->ai_addrlen)) return 2;
		time_t now = time(0);
		char text[32];
		strftime(text, sizeof text, "%H:%M:%S", gmtime(&now));
		puts(text);
		fflush(stdout);
		close(fd);
		freeaddrinfo(a);
	}
	return 0;
}
