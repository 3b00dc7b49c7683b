// A Dubbo client: `call URL SERVICE GROUP VERSION ATTACHMENTS METHOD ARGUMENT`, ATTACHMENTS as "name=value;name=value"; one reference for each service, group, version and URL.
package com.example;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.MethodConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.service.GenericService;

public final class DubboClient {
  private static final ApplicationConfig APPLICATION = new ApplicationConfig("client");
  private static final Map<String, Object> REFERENCES = new ConcurrentHashMap<>();

  private static synchronized Object reference(String url, String service, String group, String version, boolean generic) {
    return REFERENCES.computeIfAbsent(String.join(" ", url, service, group, version, String.valueOf(generic)), key -> {
      ReferenceConfig<Object> config = new ReferenceConfig<>();
      config.setApplication(APPLICATION);
      config.setUrl(url);
      config.setInterface(service.equals("Clock") ? Clock.class : Greeter.class);
      config.setCheck(false);
      if (!group.isEmpty()) config.setGroup(group);
      if (!version.isEmpty()) config.setVersion(version);
      if (generic) {
        config.setInterface("com.example." + service);
        config.setGeneric("true");
      } else if (!service.equals("Clock")) {
        MethodConfig tell = new MethodConfig();
        tell.setName("tell");
        tell.setReturn(false);
        config.setMethods(Collections.singletonList(tell));
      }
      return config.get();
    });
  }

  private static String call(String[] args) throws Exception {
    String method = args[5];
    String text = args[6];
    boolean generic = method.startsWith("$");
    Object made = reference(args[0], args[1], args[2], args[3], generic);
    // A thread keeps what was set for a call before; 2.7 sends it again.
    RpcContext.removeContext();
    for (String pair : args[4].split(";")) {
      int at = pair.indexOf('=');
      if (at > 0) RpcContext.getContext().setAttachment(pair.substring(0, at), pair.substring(at + 1));
    }
    if (generic) return String.valueOf(((GenericService) made).$invoke(method.substring(1), new String[] {"java.lang.String"}, new Object[] {text}));
    if (args[1].equals("Clock")) return ((Clock) made).now(text);
    Greeter greeter = (Greeter) made;
    switch (method) {
      case "hello":
        return greeter.hello(text);
      case "slow":
        return greeter.slow(Integer.parseInt(text));
      case "fail":
        return greeter.fail(text);
      case "refuse":
        return greeter.refuse(text);
      case "tell":
        greeter.tell(text);
        return "";
      case "length":
        return String.valueOf(greeter.length(String.join("", Collections.nCopies(Integer.parseInt(text), "y"))));
      case "repeat":
        return String.valueOf(greeter.repeat(Integer.parseInt(text)).length());
      case "attachments": {
        Guest ann = new Guest("Ann \ud83d\ude00", 33);
        Guest bob = new Guest("Bob", 44);
        ann.friends.add(bob);
        bob.friends.add(ann);
        List<Guest> guests = new ArrayList<>();
        Collections.addAll(guests, ann, bob);
        Map<String, Object> facts = new HashMap<>();
        facts.put("a", "b");
        facts.put("nested", Collections.singletonMap("list", new ArrayList<>(guests)));
        facts.put("long text", String.join("", Collections.nCopies(40_000, "z\u00e9")));
        return greeter.attachments(guests, facts, 1L << 40, new double[] {0.5, 0.25, 1e9, -3}, ann);
      }
      default:
        throw new IllegalArgumentException(method);
    }
  }

  public static void main(String[] args) throws Exception {
    APPLICATION.setQosEnable(false);
    Commands.ready();
    Commands.serve((verb, words) -> call(words));
  }

  private DubboClient() {}
}
