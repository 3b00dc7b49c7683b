// A class of the service's own, so that arguments define classes and refer to each other.
package com.example;

import java.io.Serializable;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;

public class Guest implements Serializable {
  private static final long serialVersionUID = 1;

  public enum Mood { GOOD, BAD }

  public String name;
  public int age;
  public Mood mood = Mood.GOOD;
  public BigDecimal balance = new BigDecimal("12.50");
  public Date since = new Date(1_600_000_000_000L);
  public byte[] picture = new byte[300];
  public List<Guest> friends = new ArrayList<>();

  public Guest() {}

  public Guest(String name, int age) {
    this.name = name;
    this.age = age;
  }
}
