// A Dubbo server: `DubboServer PORT NAME SERVICES [SERIALIZATION]`, where SERVICES is "Greeter/group/version", "Clock//" or "Shop//", joined by commas.
package com.example;

import java.math.BigInteger;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.rpc.RpcContext;

public final class DubboServer {
  private static final List<String> TOLD = new CopyOnWriteArrayList<>();

  private static final class GreeterOf implements Greeter {
    private final String name;

    GreeterOf(String name) {
      this.name = name;
    }

    @Override
    public String hello(String guest) {
      return "hello " + guest + " from " + name;
    }

    @Override
    public String slow(int ms) {
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
    public void tell(String text) {
      TOLD.add(text);
    }

    @Override
    public int length(String text) {
      return text.length();
    }

    @Override
    public String repeat(int count) {
      char[] text = new char[count];
      java.util.Arrays.fill(text, 'x');
      return new String(text);
    }

    @Override
    public String attachments(List<Guest> guests, Map<String, Object> facts, long number, double[] shares, Guest first) {
      if (guests.size() != 2 || first.age != guests.get(0).age || !"b".equals(facts.get("a")) || number != 1L << 40 || shares[1] != 0.25) throw new IllegalStateException("arguments were changed");
      StringBuilder text = new StringBuilder();
      for (Map.Entry<String, ?> entry : new TreeMap<String, Object>(RpcContext.getContext().getAttachments()).entrySet()) {
        if (text.length() > 0) text.append(',');
        text.append(entry.getKey()).append('=').append(entry.getValue());
      }
      return text.toString();
    }
  }

  private static final class ClockOf implements Clock {
    private final String name;

    ClockOf(String name) {
      this.name = name;
    }

    @Override
    public String now(String zone) {
      return "noon in " + zone + " says " + name;
    }
  }

  private static final class ShopOf implements Shop {
    @Override
    public Guest guest(String name, int age) {
      Guest guest = new Guest(name, age);
      guest.picture = new byte[] {1, 2, 3};
      return guest;
    }

    @Override
    public Guest older(Guest guest, int years) {
      guest.age += years;
      return guest;
    }

    @Override
    public Guest loop(String name) {
      Guest guest = new Guest(name, 1);
      guest.friends.add(guest);
      return guest;
    }

    @Override
    public Object same(Object value) {
      return value;
    }

    @Override
    public String count(int number) {
      return "int " + number;
    }

    @Override
    public String count(String text) {
      return "text " + text;
    }

    @Override
    public long sum(List<Long> numbers) {
      long sum = 0;
      for (long number : numbers) sum += number;
      return sum;
    }

    @Override
    public String[] names(Map<String, Guest> guests) {
      return guests.values().stream().map(guest -> guest.name + " " + guest.age + " " + guest.mood).sorted().toArray(String[]::new);
    }

    @Override
    public BigInteger power(int exponent) {
      return BigInteger.TWO.negate().pow(exponent);
    }

    @Override
    public BigInteger negated(BigInteger number) {
      return number.negate();
    }

    @Override
    public void nothing() {}
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
    ProtocolConfig protocol = new ProtocolConfig("dubbo", Integer.parseInt(args[0]));
    protocol.setHost("127.0.0.1");
    if (args.length > 3) protocol.setSerialization(args[3]);
    for (String service : args[2].split(",")) {
      String[] parts = service.split("/", -1);
      String name = args[1] + " " + parts[1] + "/" + parts[2];
      if (parts[0].equals("Clock")) export(application, protocol, Clock.class, new ClockOf(name), parts[1], parts[2]);
      else if (parts[0].equals("Shop")) export(application, protocol, Shop.class, new ShopOf(), parts[1], parts[2]);
      else export(application, protocol, Greeter.class, new GreeterOf(name), parts[1], parts[2]);
    }
    Commands.ready();
    Commands.serve((verb, words) -> {
      if (verb.equals("told")) return String.join(",", TOLD);
      throw new IllegalArgumentException(verb);
    });
  }

  private DubboServer() {}
}
