# The emulator alone. bin/wiemu-server is a static binary: make build
FROM scratch
COPY bin/wiemu-server /wiemu-server
# Volumes take over the owner of the directory that they cover.
COPY --chown=65532:65532 bin/volume /lab
COPY --chown=65532:65532 bin/volume /state
USER 65532:65532
EXPOSE 443 3128
HEALTHCHECK --interval=2s --timeout=4s --retries=15 CMD ["/wiemu-server", "-healthy", "127.0.0.1:443"]
ENTRYPOINT ["/wiemu-server"]
