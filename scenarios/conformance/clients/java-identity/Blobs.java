import com.azure.core.util.BinaryData;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.storage.blob.BlobClient;
import com.azure.storage.blob.BlobClientBuilder;
import com.azure.storage.blob.BlobContainerClient;
import com.azure.storage.blob.BlobServiceClient;
import com.azure.storage.blob.BlobServiceClientBuilder;
import com.azure.storage.blob.models.BlobHttpHeaders;
import com.azure.storage.blob.models.BlobItem;
import com.azure.storage.blob.models.BlobListDetails;
import com.azure.storage.blob.models.BlobRange;
import com.azure.storage.blob.models.BlobRequestConditions;
import com.azure.storage.blob.models.BlobStorageException;
import com.azure.storage.blob.models.BlockListType;
import com.azure.storage.blob.models.ListBlobsOptions;
import com.azure.storage.blob.models.ParallelTransferOptions;
import com.azure.storage.blob.options.BlobParallelUploadOptions;
import com.azure.storage.blob.sas.BlobSasPermission;
import com.azure.storage.blob.sas.BlobServiceSasSignatureValues;
import com.azure.storage.blob.specialized.BlobLeaseClientBuilder;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** What azure-storage-blob does with blobs, each operation once. */
public class Blobs {
    static final int MIB = 1 << 20;

    static final BlobServiceClient service = new BlobServiceClientBuilder().endpoint("https://orders.blob.core.windows.net")
        .credential(new DefaultAzureCredentialBuilder().build()).buildClient();
    static final BlobContainerClient inbox = service.getBlobContainerClient("java");
    static final BlobClient text = inbox.getBlobClient("a.txt");
    static final byte[] big = new byte[8 * MIB + 7];

    public static void main(String[] args) throws Exception {
        if (args.length > 1 && args[0].equals("watch")) {
            watch(Long.parseLong(args[1]));
        }
        new Random(1).nextBytes(big);
        Operations.run("create", Blobs::create);
        Operations.run("put", Blobs::put);
        Operations.run("head", Blobs::head);
        Operations.run("large", Blobs::large);
        Operations.run("stream", Blobs::stream);
        Operations.run("empty", Blobs::empty);
        Operations.run("part", Blobs::part);
        Operations.run("lists", Blobs::lists);
        Operations.run("change", Blobs::change);
        Operations.run("conditions", Blobs::conditions);
        Operations.run("lease", Blobs::lease);
        Operations.run("snapshot", Blobs::snapshot);
        Operations.run("tags", Blobs::tags);
        Operations.run("append", Blobs::append);
        Operations.run("blocks", Blobs::blocks);
        Operations.run("copy", Blobs::copy);
        Operations.run("names", Blobs::names);
        Operations.run("sas", Blobs::sas);
        Operations.run("gone", Blobs::gone);
        Operations.run("delete", inbox::delete);
        Operations.done();
    }

    /** The service's code for a call that has to fail. */
    static void refused(String code, Operations.Operation call) throws Exception {
        String found = "no error";
        try {
            call.run();
        } catch (BlobStorageException e) {
            found = String.valueOf(e.getErrorCode());
        }
        Operations.want(found.equals(code), found);
    }

    static BlobParallelUploadOptions upload(String content) {
        return new BlobParallelUploadOptions(BinaryData.fromString(content));
    }

    static String content(BlobClient blob) {
        return blob.downloadContent().toString();
    }

    static void create() {
        inbox.createWithResponse(Map.of("owner", "me"), null, null, null);
        Operations.want(inbox.getProperties().getMetadata().equals(Map.of("owner", "me")), inbox.getProperties().getMetadata());
    }

    static void put() {
        text.uploadWithResponse(upload("hello").setMetadata(Map.of("myKey", "v")).setHeaders(new BlobHttpHeaders().setContentType("text/plain")), null, null);
        Operations.want(content(text).equals("hello"), content(text));
    }

    static void head() {
        var p = text.getProperties();
        Operations.want(p.getBlobSize() == 5 && p.getContentType().equals("text/plain") && p.getMetadata().size() == 1, p.getMetadata());
    }

    static void large() {
        var blob = inbox.getBlobClient("big");
        var parallel = new ParallelTransferOptions().setBlockSizeLong((long) MIB).setMaxConcurrency(4).setMaxSingleUploadSizeLong((long) MIB);
        blob.uploadWithResponse(new BlobParallelUploadOptions(new ByteArrayInputStream(big)).setParallelTransferOptions(parallel), null, null);
        Operations.want(Arrays.equals(blob.downloadContent().toBytes(), big), "other bytes");
    }

    static void stream() throws Exception {
        var blob = inbox.getBlobClient("stream").getBlockBlobClient();
        try (var out = blob.getBlobOutputStream(true)) {
            for (int i = 0; i < 3000; i++) {
                out.write(new byte[1000]);
            }
        }
        Operations.want(blob.getProperties().getBlobSize() == 3000000, blob.getProperties().getBlobSize());
    }

    static void empty() {
        var blob = inbox.getBlobClient("empty");
        blob.upload(BinaryData.fromString(""));
        Operations.want(blob.downloadContent().getLength() == 0, "some");
    }

    static void part() {
        var out = new ByteArrayOutputStream();
        inbox.getBlobClient("big").downloadStreamWithResponse(out, new BlobRange(100, 50L), null, null, false, null, null);
        Operations.want(Arrays.equals(out.toByteArray(), Arrays.copyOfRange(big, 100, 150)), "other bytes");
    }

    static void lists() {
        for (var name : List.of("d/1", "d/2", "d/e/3", "f")) {
            inbox.getBlobClient(name).upload(BinaryData.fromString(name));
        }
        var flat = names(new ListBlobsOptions().setPrefix("d/").setDetails(new BlobListDetails().setRetrieveMetadata(true)));
        Operations.want(flat.equals(List.of("d/1", "d/2", "d/e/3")), flat);
        var level = inbox.listBlobsByHierarchy("d/").stream().map(BlobItem::getName).sorted().toList();
        Operations.want(level.equals(List.of("d/1", "d/2", "d/e/")), level);
        Operations.want(names(new ListBlobsOptions().setMaxResultsPerPage(2)).size() >= 7, "fewer");
        Operations.want(service.listBlobContainers().stream().anyMatch(c -> c.getName().equals("java")), "no container");
    }

    static List<String> names(ListBlobsOptions options) {
        return inbox.listBlobs(options, null).stream().map(BlobItem::getName).toList();
    }

    static void change() {
        text.setMetadata(Map.of("k", "2"));
        text.setHttpHeaders(new BlobHttpHeaders().setContentType("text/html"));
        var p = text.getProperties();
        Operations.want(p.getMetadata().equals(Map.of("k", "2")) && p.getContentType().equals("text/html"), p.getMetadata());
    }

    static void conditions() throws Exception {
        refused("BlobAlreadyExists", () -> text.upload(BinaryData.fromString("x")));
        var same = new BlobRequestConditions().setIfMatch(text.getProperties().getETag());
        text.uploadWithResponse(upload("y").setRequestConditions(same), null, null);
        refused("ConditionNotMet", () -> text.uploadWithResponse(upload("z").setRequestConditions(same), null, null));
    }

    static void lease() throws Exception {
        var lease = new BlobLeaseClientBuilder().blobClient(text).buildClient();
        lease.acquireLease(15);
        refused("LeaseIdMissing", () -> text.upload(BinaryData.fromString("z"), true));
        text.uploadWithResponse(upload("with").setRequestConditions(new BlobRequestConditions().setLeaseId(lease.getLeaseId())), null, null);
        lease.renewLease();
        lease.releaseLease();
    }

    static void snapshot() {
        var taken = text.createSnapshot();
        text.upload(BinaryData.fromString("new"), true);
        Operations.want(taken.downloadContent().toString().equals("with"), taken.downloadContent());
    }

    static void tags() {
        text.setTags(Map.of("t", "1"));
        Operations.want(text.getTags().equals(Map.of("t", "1")), text.getTags());
    }

    static void append() {
        var log = inbox.getBlobClient("log").getAppendBlobClient();
        log.create();
        for (var s : List.of("1", "2")) {
            log.appendBlock(new ByteArrayInputStream(s.getBytes()), 1);
        }
        Operations.want(log.downloadContent().toString().equals("12"), log.downloadContent());
    }

    static void blocks() {
        var blob = inbox.getBlobClient("blocks").getBlockBlobClient();
        blob.stageBlock("MQ==", BinaryData.fromString("AAA"));
        blob.stageBlock("Mg==", BinaryData.fromString("BBB"));
        blob.commitBlockList(List.of("MQ==", "Mg=="));
        Operations.want(blob.downloadContent().toString().equals("AAABBB"), blob.downloadContent());
        Operations.want(blob.listBlocks(BlockListType.ALL).getCommittedBlocks().size() == 2, "other blocks");
    }

    static void copy() {
        var blob = inbox.getBlobClient("copy");
        var done = blob.beginCopy(text.getBlobUrl(), Duration.ofMillis(200)).waitForCompletion().getValue();
        Operations.want(String.valueOf(done.getCopyStatus()).equals("success"), done.getCopyStatus());
        Operations.want(content(blob).equals("new"), content(blob));
    }

    static void names() {
        var odd = "dir/a b+c%25/\u00fc//Q?#&x.TXT";
        var blob = inbox.getBlobClient(odd);
        blob.upload(BinaryData.fromString("odd"));
        Operations.want(content(blob).equals("odd"), content(blob));
        var names = names(new ListBlobsOptions().setPrefix("dir/"));
        Operations.want(names.contains(odd), names);
    }

    static void sas() throws Exception {
        var now = OffsetDateTime.now();
        var key = service.getUserDelegationKey(now.minusMinutes(1), now.plusHours(1));
        var signed = text.generateUserDelegationSas(new BlobServiceSasSignatureValues(now.plusMinutes(30), new BlobSasPermission().setReadPermission(true)), key);
        var reader = new BlobClientBuilder().endpoint(text.getBlobUrl()).sasToken(signed).buildClient();
        Operations.want(content(reader).equals("new"), content(reader));
        refused("AuthorizationPermissionMismatch", () -> reader.upload(BinaryData.fromString("x"), true));
    }

    static void gone() throws Exception {
        inbox.getBlobClient("f").delete();
        refused("BlobNotFound", () -> content(inbox.getBlobClient("f")));
    }

    static void watch(long every) throws InterruptedException {
        var there = service.getBlobContainerClient("inbox");
        for (int n = 1;; n++) {
            String line;
            try {
                var blob = there.getBlobClient("day/" + n);
                blob.upload(BinaryData.fromString("x"), true);
                line = "{\"ok\": true, \"blob\": " + n + ", \"modified\": \"" + blob.getProperties().getLastModified().toInstant() + "\"}";
            } catch (RuntimeException e) {
                line = "{\"ok\": false, \"error\": \"" + String.valueOf(e.getMessage()).replaceAll("[\"\\\\\\s]+", " ") + "\"}";
            }
            System.out.println(line);
            Thread.sleep(every * 1000);
        }
    }
}
