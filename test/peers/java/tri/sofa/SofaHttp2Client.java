// A SOFARPC client over "h2c" or "tri". Commands on standard input, see `run`; the first two arguments of each are the protocol and the port to call, or several with commas between.
package com.example;

import com.alipay.sofa.rpc.config.ConsumerConfig;
import com.alipay.sofa.rpc.api.future.SofaResponseFuture;
import com.alipay.sofa.rpc.core.exception.SofaRpcException;
import com.alipay.sofa.rpc.transport.SofaStreamObserver;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.IntConsumer;
import java.util.stream.Collectors;

public final class SofaHttp2Client {
  private static final int TIMEOUT = 20_000;
  private static final Map<String, Object> CONSUMERS = new ConcurrentHashMap<>();

  @SuppressWarnings("unchecked")
  private static <T> T consumer(Class<T> type, String protocol, String port, String uniqueId, String invokeType, int timeout) {
    return (T) CONSUMERS.computeIfAbsent(String.join(" ", type.getName(), protocol, port, uniqueId, invokeType, String.valueOf(timeout)), key -> {
      String urls = Arrays.stream(port.split(",")).map(one -> protocol + "://127.0.0.1:" + one).collect(Collectors.joining(";"));
      ConsumerConfig<T> config = new ConsumerConfig<T>().setInterfaceId(type.getName()).setProtocol(protocol).setDirectUrl(urls)
          .setInvokeType(invokeType).setTimeout(timeout).setConnectTimeout(TIMEOUT).setRetries(0).setRegister(false).setSubscribe(false).setRepeatedReferLimit(-1);
      if (!uniqueId.isEmpty()) config.setUniqueId(uniqueId);
      return config.refer();
    });
  }

  private static final class Reader implements SofaStreamObserver<String> {
    final List<String> messages = new ArrayList<>();
    final CompletableFuture<String> end = new CompletableFuture<>();
    volatile IntConsumer each = count -> {};

    @Override
    public void onNext(String text) {
      messages.add(text);
      each.accept(messages.size());
    }

    @Override
    public void onCompleted() {
      end.complete(messages.size() + " messages, the last: " + (messages.isEmpty() ? "" : messages.get(messages.size() - 1)));
    }

    @Override
    public void onError(Throwable error) {
      end.completeExceptionally(error);
    }

    String read() throws Exception {
      try {
        return end.get(30, TimeUnit.SECONDS);
      } catch (ExecutionException e) {
        throw new IllegalStateException("after " + messages.size() + " messages", e.getCause());
      }
    }
  }

  private static String run(String verb, String[] args) throws Exception {
    String protocol = args[0];
    String port = args[1];
    Hello hello = consumer(Hello.class, protocol, port, "", "sync", TIMEOUT);
    switch (verb) {
      case "sync":
        return hello.sayHello(args[2]);
      case "future":
        consumer(Hello.class, protocol, port, "", "future", TIMEOUT).sayHello(args[2]);
        return (String) SofaResponseFuture.getResponse(TIMEOUT, true);
      case "oneway":
        consumer(Hello.class, protocol, port, "", "oneway", TIMEOUT).note(args[2]);
        return "sent";
      case "noted":
        return hello.noted();
      case "unique":
        return consumer(Hello.class, protocol, port, args[2], "sync", TIMEOUT).sayHello(args[3]);
      case "slow":
        return consumer(Hello.class, protocol, port, "", "sync", Integer.parseInt(args[3])).slow(Integer.parseInt(args[2]));
      case "fail":
        return hello.fail(args[2]);
      case "echo": {
        byte[] bytes = SofaServer.pattern(Integer.parseInt(args[2]));
        return Arrays.equals(bytes, hello.echo(bytes)) ? "same" : "different";
      }
      case "make": {
        int size = Integer.parseInt(args[2]);
        return Arrays.equals(SofaServer.pattern(size), hello.make(size)) ? "same" : "different";
      }
      case "older": {
        Person person = hello.older(new Person(args[2], 40), 2);
        return person.getName() + " is " + person.getAge();
      }
      case "count": {
        Reader reader = new Reader();
        consumer(Streams.class, protocol, port, "", "sync", TIMEOUT).count(args[2], reader);
        return reader.read();
      }
      case "chat": {
        // In turns: each message is only sent when the one before has come back.
        int turns = Integer.parseInt(args[2]);
        Reader reader = new Reader();
        CompletableFuture<SofaStreamObserver<String>> writer = new CompletableFuture<>();
        reader.each = count -> {
          if (count < turns) writer.join().onNext("turn " + count);
          else writer.join().onCompleted();
        };
        writer.complete(consumer(Streams.class, protocol, port, "", "sync", TIMEOUT).chat(reader));
        writer.join().onNext("turn 0");
        return reader.read();
      }
      case "load":
        return SofaClient.load(hello, Integer.parseInt(args[2]), Integer.parseInt(args[3]), Integer.parseInt(args[4]));
      default:
        throw new IllegalArgumentException(verb);
    }
  }

  public static void main(String[] args) throws Exception {
    Commands.detail = error -> error instanceof SofaRpcException ? " [type " + ((SofaRpcException) error).getErrorType() + "]" : "";
    Commands.ready();
    Commands.serve(SofaHttp2Client::run);
  }

  private SofaHttp2Client() {}
}
