// A Dubbo client over Triple: `call URL SERVICE GROUP VERSION ATTACHMENTS METHOD ARGUMENT`, ATTACHMENTS as "name=value;name=value"; one reference for each service, group, version and URL.
package com.example;

import com.google.protobuf.StringValue;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.apache.dubbo.common.stream.StreamObserver;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.RpcException;
import org.apache.dubbo.rpc.protocol.tri.CancelableStreamObserver;

public final class TripleClient {
  private static final ApplicationConfig APPLICATION = new ApplicationConfig("client");
  private static final Map<String, Object> REFERENCES = new ConcurrentHashMap<>();

  @SuppressWarnings("unchecked")
  private static synchronized <T> T reference(Class<T> type, String url, String group, String version) {
    return (T) REFERENCES.computeIfAbsent(String.join(" ", type.getName(), url, group, version), key -> {
      ReferenceConfig<T> config = new ReferenceConfig<>();
      config.setApplication(APPLICATION);
      config.setUrl(url);
      config.setInterface(type);
      config.setCheck(false);
      if (!group.isEmpty()) config.setGroup(group);
      if (!version.isEmpty()) config.setVersion(version);
      return config.get();
    });
  }

  /** Messages until a stream ends. */
  private static final class Reader extends CancelableStreamObserver<String> {
    final List<String> messages = new ArrayList<>();
    final CompletableFuture<String> end = new CompletableFuture<>();
    /** What to do with each, and how many there are now. */
    volatile java.util.function.IntConsumer each = count -> {};

    @Override
    public void onNext(String text) {
      messages.add(text);
      each.accept(messages.size());
    }

    @Override
    public void onError(Throwable error) {
      end.completeExceptionally(error);
    }

    @Override
    public void onCompleted() {
      end.complete(messages.size() + " messages, the last: " + (messages.isEmpty() ? "" : messages.get(messages.size() - 1)));
    }

    String read() throws Exception {
      try {
        return end.get(30, TimeUnit.SECONDS);
      } catch (java.util.concurrent.ExecutionException e) {
        throw new IllegalStateException("after " + messages.size() + " messages", e.getCause());
      }
    }
  }

  private static String call(String[] args) throws Exception {
    String method = args[5];
    String text = args[6];
    for (String pair : args[4].split(";")) {
      int at = pair.indexOf('=');
      if (at > 0) RpcContext.getClientAttachment().setAttachment(pair.substring(0, at), pair.substring(at + 1));
    }
    if (args[1].equals("Proto")) return reference(Proto.class, args[0], args[2], args[3]).greet(StringValue.newBuilder().setValue(text).build()).getValue();
    Talk talk = reference(Talk.class, args[0], args[2], args[3]);
    switch (method) {
      case "hello":
        return talk.hello(text);
      case "slow":
        return talk.slow(Integer.parseInt(text));
      case "fail":
        return talk.fail(text);
      case "refuse":
        return talk.refuse(text);
      case "attachments":
        return talk.attachments();
      case "echo": {
        byte[] bytes = new byte[Integer.parseInt(text)];
        for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) (i * 31 + (i >> 10));
        return Arrays.equals(bytes, talk.echo(bytes)) ? "same" : "different";
      }
      case "count": {
        Reader reader = new Reader();
        talk.count(text, reader);
        return reader.read();
      }
      case "cancel": {
        // Leaves after so many messages of a stream that does not end.
        Reader reader = new Reader();
        CompletableFuture<Void> some = new CompletableFuture<>();
        reader.each = count -> {
          if (count == Integer.parseInt(text)) some.complete(null);
        };
        talk.count(text + " wait", reader);
        some.get(30, TimeUnit.SECONDS);
        reader.cancel(new IllegalStateException("had enough"));
        return "left after " + reader.messages.size();
      }
      case "chat": {
        // In turns: each message is only sent when the one before has come back.
        int turns = Integer.parseInt(text);
        Reader reader = new Reader();
        CompletableFuture<StreamObserver<String>> writer = new CompletableFuture<>();
        reader.each = count -> {
          if (count < turns) writer.join().onNext("turn " + count);
          else writer.join().onCompleted();
        };
        writer.complete(talk.chat(reader));
        writer.join().onNext("turn 0");
        return reader.read();
      }
      default:
        throw new IllegalArgumentException(method);
    }
  }

  public static void main(String[] args) throws Exception {
    APPLICATION.setQosEnable(false);
    Commands.detail = error -> error instanceof RpcException ? " [code " + ((RpcException) error).getCode() + "]" : "";
    Commands.ready();
    Commands.serve((verb, words) -> call(words));
  }

  private TripleClient() {}
}
