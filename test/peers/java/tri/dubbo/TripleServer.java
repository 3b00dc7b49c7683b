// A Dubbo server over Triple: `TripleServer PORT NAME SERVICES`, where SERVICES is "Talk/group/version" or "Proto//", joined by commas.
package com.example;

import com.google.protobuf.BytesValue;
import com.google.protobuf.Int32Value;
import com.google.protobuf.StringValue;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.dubbo.common.stream.StreamObserver;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.rpc.CancellationContext;
import org.apache.dubbo.rpc.RpcContext;

public final class TripleServer {
  /** What happened to streams and calls that their client left. */
  private static final List<String> ENDED = new CopyOnWriteArrayList<>();

  private static final class TalkOf implements Talk {
    private final String name;

    TalkOf(String name) {
      this.name = name;
    }

    @Override
    public String hello(String guest) {
      return "hello " + guest + " from " + name;
    }

    @Override
    public String slow(int ms) {
      CancellationContext context = RpcContext.getCancellationContext();
      context.addListener(cancelled -> ENDED.add("slow " + ms));
      try {
        Thread.sleep(ms);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
      return name;
    }

    @Override
    public String fail(String text) {
      throw new IllegalStateException(text);
    }

    @Override
    public String refuse(String text) throws Refusal {
      throw new Refusal(text);
    }

    @Override
    public byte[] echo(byte[] bytes) {
      return bytes;
    }

    @Override
    public String attachments() {
      StringBuilder text = new StringBuilder();
      for (Map.Entry<String, Object> entry : new TreeMap<>(RpcContext.getServerAttachment().getObjectAttachments()).entrySet()) {
        if (text.length() > 0) text.append(',');
        text.append(entry.getKey()).append('=').append(entry.getValue());
      }
      return text.toString();
    }

    @Override
    public void count(String request, StreamObserver<String> out) {
      String[] words = request.split(" ");
      RpcContext.getCancellationContext().addListener(cancelled -> ENDED.add("count"));
      int n = Integer.parseInt(words[0]);
      for (int i = 0; i < n; i++) out.onNext(i + " from " + name);
      if (words.length == 1) out.onCompleted();
      else if (words[1].equals("fail")) out.onError(new IllegalStateException("behind " + n));
    }

    @Override
    public StreamObserver<String> chat(StreamObserver<String> out) {
      return new StreamObserver<String>() {
        @Override
        public void onNext(String text) {
          if (text.equals("leave")) out.onCompleted();
          else out.onNext(text + " at " + name);
        }

        @Override
        public void onError(Throwable error) {
          ENDED.add("chat");
        }

        @Override
        public void onCompleted() {
          out.onCompleted();
        }
      };
    }
  }

  private static final class ProtoOf implements Proto {
    private final String name;

    ProtoOf(String name) {
      this.name = name;
    }

    private static StringValue text(String value) {
      return StringValue.newBuilder().setValue(value).build();
    }

    @Override
    public StringValue greet(StringValue guest) {
      if (guest.getValue().equals("nobody")) throw new IllegalStateException("nobody is greeted");
      return text("hello " + guest.getValue() + " from " + name);
    }

    @Override
    public BytesValue echo(BytesValue bytes) {
      return bytes;
    }

    @Override
    public void count(Int32Value howMany, StreamObserver<StringValue> out) {
      for (int i = 0; i < howMany.getValue(); i++) out.onNext(text("number " + i));
      out.onCompleted();
    }
  }

  private static <T> void export(ApplicationConfig application, ProtocolConfig protocol, Class<T> type, T service, String group, String version) {
    ServiceConfig<T> config = new ServiceConfig<>();
    config.setApplication(application);
    config.setRegistry(new RegistryConfig("N/A"));
    config.setProtocol(protocol);
    config.setInterface(type);
    config.setRef(service);
    if (!group.isEmpty()) config.setGroup(group);
    if (!version.isEmpty()) config.setVersion(version);
    config.export();
  }

  public static void main(String[] args) throws Exception {
    ApplicationConfig application = new ApplicationConfig("server-" + args[1]);
    application.setQosEnable(false);
    ProtocolConfig protocol = new ProtocolConfig("tri", Integer.parseInt(args[0]));
    protocol.setHost("127.0.0.1");
    for (String service : args[2].split(",")) {
      String[] parts = service.split("/", -1);
      String name = args[1] + " " + parts[1] + "/" + parts[2];
      if (parts[0].equals("Proto")) export(application, protocol, Proto.class, new ProtoOf(name), parts[1], parts[2]);
      else export(application, protocol, Talk.class, new TalkOf(name), parts[1], parts[2]);
    }
    Commands.ready();
    Commands.serve((verb, words) -> {
      if (verb.equals("ended")) return String.join(",", ENDED);
      throw new IllegalArgumentException(verb);
    });
  }

  private TripleServer() {}
}
