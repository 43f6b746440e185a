package hello;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** A small web app of the JDK alone: answers with a greeting and what it knows about its request. */
public final class Main {
    private static final String GREETING = "Hello from Java";

    public static void main(String[] arguments) throws IOException {
        int port = Integer.parseInt(variable("PORT", "8080"));
        ExecutorService workers = Executors.newFixedThreadPool(8);
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 128);
        server.setExecutor(workers);
        server.createContext("/", Main::answer);
        // SIGTERM means: finish what is running and end.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            server.stop(1);
            workers.shutdown();
            System.out.println("stopped");
        }));
        server.start();
        System.out.println("listening on port " + port);
    }

    private static void answer(HttpExchange exchange) throws IOException {
        String text = String.format("{\"message\": \"%s\", \"path\": \"%s\", \"mode\": \"%s\"}\n",
                GREETING, escape(exchange.getRequestURI().getPath()), escape(variable("MODE", "development")));
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(200, body.length);
        try (OutputStream out = exchange.getResponseBody()) {
            out.write(body);
        }
    }

    private static String escape(String text) {
        return text.replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\p{Cntrl}", "?");
    }

    private static String variable(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null ? otherwise : value;
    }

    private Main() {}
}
