// A SOFARPC client over Bolt. Commands on standard input, see `run`; the first argument of each is the port to call.
package com.example;

import com.alipay.hessian.generic.model.GenericObject;
import com.alipay.sofa.rpc.api.GenericService;
import com.alipay.sofa.rpc.api.future.SofaResponseFuture;
import com.alipay.sofa.rpc.config.ConsumerConfig;
import com.alipay.sofa.rpc.context.RpcInvokeContext;
import com.alipay.sofa.rpc.core.exception.SofaRpcException;
import com.alipay.sofa.rpc.core.invoke.SofaResponseCallback;
import com.alipay.sofa.rpc.core.request.RequestBase;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

public final class SofaClient {
  private static final int TIMEOUT = 10_000;
  private static final Map<String, Object> consumers = new ConcurrentHashMap<>();

  @SuppressWarnings("unchecked")
  private static <T> T consumer(Class<T> type, String port, String invokeType, int timeout) {
    return (T) consumers.computeIfAbsent(type.getName() + port + invokeType + timeout, key -> new ConsumerConfig<T>()
        .setInterfaceId(Hello.class.getName()).setGeneric(type == GenericService.class).setProtocol("bolt").setDirectUrl("bolt://127.0.0.1:" + port)
        .setInvokeType(invokeType).setTimeout(timeout).setRetries(0).setRegister(false).setSubscribe(false).setRepeatedReferLimit(-1).refer());
  }

  private static Hello hello(String port, String invokeType) {
    return consumer(Hello.class, port, invokeType, TIMEOUT);
  }

  private static String run(String verb, String[] args) throws Exception {
    String port = args[0];
    Hello sync = hello(port, "sync");
    switch (verb) {
      case "sync":
        return sync.sayHello(args[1]);
      case "future":
        hello(port, "future").sayHello(args[1]);
        return (String) SofaResponseFuture.getResponse(TIMEOUT, true);
      case "callback":
        return callback(port, args[1]);
      case "oneway":
        hello(port, "oneway").note(args[1]);
        return "sent";
      case "noted":
        return sync.noted();
      case "slow":
        return consumer(Hello.class, port, "sync", Integer.parseInt(args[2])).slow(Integer.parseInt(args[1]));
      case "fail":
        return sync.fail(args[1]);
      case "echo": {
        byte[] bytes = SofaServer.pattern(Integer.parseInt(args[1]));
        return Arrays.equals(bytes, sync.echo(bytes)) ? "same" : "different";
      }
      case "make": {
        int size = Integer.parseInt(args[1]);
        return Arrays.equals(SofaServer.pattern(size), sync.make(size)) ? "same" : "different";
      }
      case "older": {
        Person person = sync.older(new Person(args[1], 40), 2);
        return person.getName() + " is " + person.getAge();
      }
      case "unique":
        return new ConsumerConfig<Hello>().setInterfaceId(Hello.class.getName()).setUniqueId(args[1]).setProtocol("bolt").setDirectUrl("bolt://127.0.0.1:" + port)
            .setTimeout(TIMEOUT).setRetries(0).setRegister(false).setSubscribe(false).setRepeatedReferLimit(-1).refer().sayHello(args[2]);
      case "generic":
        return generic(port, args[1]);
      case "load":
        return load(sync, Integer.parseInt(args[1]), Integer.parseInt(args[2]), Integer.parseInt(args[3]));
      default:
        throw new IllegalArgumentException(verb);
    }
  }

  private static String callback(String port, String name) throws Exception {
    CompletableFuture<String> result = new CompletableFuture<>();
    RpcInvokeContext.getContext().setResponseCallback(new SofaResponseCallback<String>() {
      public void onAppResponse(Object response, String method, RequestBase request) {
        result.complete((String) response);
      }

      public void onAppException(Throwable error, String method, RequestBase request) {
        result.completeExceptionally(error);
      }

      public void onSofaException(SofaRpcException error, String method, RequestBase request) {
        result.completeExceptionally(error);
      }
    });
    hello(port, "callback").sayHello(name);
    return result.get(2L * TIMEOUT, TimeUnit.MILLISECONDS);
  }

  /** Without the service's classes: values as generic objects. */
  private static String generic(String port, String name) {
    GenericService service = consumer(GenericService.class, port, "sync", TIMEOUT);
    Object hello = service.$invoke("sayHello", new String[] {"java.lang.String"}, new Object[] {name});
    GenericObject person = new GenericObject("com.example.Person");
    person.putField("name", name);
    person.putField("age", 40);
    GenericObject older = (GenericObject) service.$genericInvoke("older", new String[] {"com.example.Person", "int"}, new Object[] {person, 2});
    return hello + ", " + older.getField("name") + " is " + older.getField("age");
  }

  /** Threads that call one after the other, `calls` times altogether; each call takes its server `slow` ms. Counts by server, and by error, as JSON. */
  static String load(Hello hello, int threads, int calls, int slow) throws Exception {
    Map<String, AtomicInteger> good = new ConcurrentHashMap<>();
    Map<String, AtomicInteger> bad = new ConcurrentHashMap<>();
    AtomicInteger begun = new AtomicInteger();
    Thread[] running = new Thread[threads];
    for (int t = 0; t < threads; t++) {
      running[t] = new Thread(() -> {
        for (int i = begun.getAndIncrement(); i < calls && bad.size() < 5; i = begun.getAndIncrement()) {
          String name = "n" + i;
          try {
            String said = slow > 0 ? hello.slow(slow) : hello.sayHello(name);
            if (slow == 0 && !said.startsWith("hello " + name + " from ")) throw new IllegalStateException("the reply of another call: " + said);
            good.computeIfAbsent(said.substring(said.lastIndexOf(' ') + 1), key -> new AtomicInteger()).incrementAndGet();
          } catch (Throwable error) {
            bad.computeIfAbsent(Commands.describe(error).replaceAll("id=\\d+", "id"), key -> new AtomicInteger()).incrementAndGet();
          }
        }
      });
      running[t].start();
    }
    for (Thread thread : running) thread.join();
    return "{\"good\":" + json(good) + ",\"bad\":" + json(bad) + "}";
  }

  private static String json(Map<String, AtomicInteger> counts) {
    StringBuilder text = new StringBuilder("{");
    for (Map.Entry<String, AtomicInteger> entry : counts.entrySet()) {
      if (text.length() > 1) text.append(',');
      text.append('"').append(entry.getKey().replace("\\", "\\\\").replace("\"", "\\\"")).append("\":").append(entry.getValue());
    }
    return text.append('}').toString();
  }

  public static void main(String[] args) throws Exception {
    Commands.detail = error -> error instanceof SofaRpcException ? " [type " + ((SofaRpcException) error).getErrorType() + "]" : "";
    Commands.ready();
    Commands.serve(SofaClient::run);
  }

  private SofaClient() {}
}
