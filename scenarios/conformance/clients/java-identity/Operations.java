/** Runs the operations of a program one by one, as the conformance table wants it. */
class Operations {
    interface Operation {
        void run() throws Exception;
    }

    static void run(String name, Operation operation) {
        try {
            operation.run();
            System.out.println(name + " ok");
        } catch (Throwable e) {
            System.out.println(name + " failed " + String.valueOf(e).replaceAll("\\s+", " "));
            System.exit(1);
        }
    }

    static void want(boolean ok, Object found) {
        if (!ok) {
            throw new IllegalStateException("not as expected: " + found);
        }
    }

    static void done() throws Exception {
        System.out.println("round done");
        System.in.readAllBytes();
        System.exit(0); // the library's threads would go on
    }
}
