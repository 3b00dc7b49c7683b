// The way every Java program of the tests is spoken to: commands on standard input, "ID\tVERB\tARGUMENT...", one thread each; what came of each on standard output, "ID\tok|error\tTEXT".
package com.example;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Function;

final class Commands {
  interface Handler {
    String run(String verb, String[] args) throws Exception;
  }

  /** What a library's exceptions tell besides their message; "" for nothing. */
  static volatile Function<Throwable, String> detail = error -> "";

  private static final PrintStream OUT = System.out;

  static void ready() {
    print("ready");
  }

  /** Ends with its input, so that no process outlives the test. */
  static void serve(Handler handler) throws Exception {
    ExecutorService pool = Executors.newCachedThreadPool(task -> {
      Thread thread = new Thread(task);
      thread.setDaemon(true);
      return thread;
    });
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] words = line.split("\t", -1);
      String[] args = Arrays.copyOfRange(words, 2, words.length);
      pool.execute(() -> {
        String outcome;
        try {
          outcome = "ok\t" + handler.run(words[1], args);
        } catch (Throwable error) {
          outcome = "error\t" + describe(error);
        }
        print(words[0] + "\t" + outcome.replace('\r', ' ').replace('\n', ' '));
      });
    }
    Runtime.getRuntime().halt(0);
  }

  /** The exception and its causes, as a log would show them. */
  static String describe(Throwable error) {
    StringBuilder text = new StringBuilder();
    for (Throwable e = error; e != null; e = e.getCause()) {
      if (text.length() > 0) text.append(" <- ");
      text.append(e.getClass().getSimpleName()).append(": ").append(e.getMessage()).append(detail.apply(e));
    }
    return text.toString();
  }

  private static synchronized void print(String line) {
    OUT.println(line);
    OUT.flush();
  }

  private Commands() {}
}
