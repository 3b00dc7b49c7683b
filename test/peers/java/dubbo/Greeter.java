// What the Dubbo programs offer and ask for.
package com.example;

import java.util.List;
import java.util.Map;

public interface Greeter {
  /** Also names the server, and the group and version under which it was asked. */
  String hello(String name);

  String slow(int ms);

  String fail(String text);

  String refuse(String text) throws Refusal;

  /** Called one way. */
  void tell(String text);

  int length(String text);

  String repeat(int count);

  /** The attachments that came with the call, "name=value" joined by commas, sorted. */
  String attachments(List<Guest> guests, Map<String, Object> facts, long number, double[] shares, Guest first);
}
