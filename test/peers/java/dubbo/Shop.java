// A service for callers without its classes: objects in and out, overloads, what contains itself.
package com.example;

import java.math.BigInteger;
import java.util.List;
import java.util.Map;

public interface Shop {
  Guest guest(String name, int age);

  Guest older(Guest guest, int years);

  /** A guest who is a friend of himself. */
  Guest loop(String name);

  Object same(Object value);

  String count(int number);

  String count(String text);

  long sum(List<Long> numbers);

  /** "NAME AGE MOOD" of each guest, sorted. */
  String[] names(Map<String, Guest> guests);

  /** Minus two to the power of so many. */
  BigInteger power(int exponent);

  BigInteger negated(BigInteger number);

  void nothing();
}
