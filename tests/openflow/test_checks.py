"""Flows that ovs-ofctl takes or refuses for one reason each, asked of the real program."""

from __future__ import annotations

import shutil

import pytest

from simverify.openflow import Protocol, parse_flow
from simverify.openflow.carried import lost_in_10
from simverify.openflow.meaning import one_form
from simverify.text import InputError
from tests.openflow.differential import compare
from tests.openflow.reading import ask_ovs

VLAN_TAGS = """
actions=push_vlan:0x8100,push_vlan:0x8100,pop_vlan,pop_vlan
actions=push_vlan:0x8100,pop_vlan,pop_vlan
actions=push_vlan:0x8100,push_vlan:0x88a8,pop_vlan
actions=pop_vlan
dl_vlan=5,actions=pop_vlan,pop_vlan
dl_vlan=5,actions=push_vlan:0x8100,pop_vlan,pop_vlan
actions=push_vlan:0x8100,push_vlan:0x8100,push_vlan:0x8100
dl_vlan=5,actions=push_vlan:0x8100,push_vlan:0x8100
dl_vlan=5,actions=push_vlan:0x8100,push_vlan:0x8100,push_vlan:0x8100
actions=push_vlan:0x8100,push_vlan:0x8100,pop_vlan,push_vlan:0x8100
actions=push_vlan:0x8100,clone(push_vlan:0x8100),push_vlan:0x8100
actions=push_vlan:0x8100,clone(push_vlan:0x8100,push_vlan:0x8100),push_vlan:0x8100
actions=mod_vlan_vid:5,push_vlan:0x8100,push_vlan:0x8100
actions=mod_vlan_vid:5,push_vlan:0x8100,pop_vlan,pop_vlan
actions=load:0x1005->vlan_tci[],pop_vlan
actions=set_field:0x1005->vlan_tci,pop_vlan
dl_vlan=5,actions=set_field:0x1005->vlan_tci,pop_vlan
dl_vlan=5,actions=load:0->vlan_tci[],pop_vlan
dl_vlan=5,actions=load:0->vlan_tci[],set_field:4101->vlan_vid
dl_vlan=5,actions=load:0->vlan_tci[0..11],set_field:4101->vlan_vid
actions=push_vlan:0x8100,load:0->vlan_tci[],push_vlan:0x8100
actions=push_vlan:0x8100,push_vlan:0x8100,load:0->vlan_tci[],push_vlan:0x8100
actions=push_vlan:0x8100,push_vlan:0x8100,load:0->vlan_tci[],pop_vlan
vlan_vid=0x1000/0x1000,actions=pop_vlan
vlan_vid=0x1000/0x1000,actions=push_vlan:0x8100,pop_vlan,pop_vlan
vlan_tci=0x1000/0x1000,actions=push_vlan:0x88a8,pop_vlan,pop_vlan
vlan_tci=0,actions=pop_vlan
actions=write_actions(push_vlan:0x8100),write_actions(push_vlan:0x8100)
actions=push_vlan:0x8100,write_actions(push_vlan:0x8100,push_vlan:0x8100)
actions=write_actions(push_vlan:0x8100,push_vlan:0x8100,push_vlan:0x8100)
actions=push_vlan:0x8100,set_field:0x0->vlan_tci,set_field:4099->vlan_vid
actions=push_vlan:0x8100,move:reg0[0..15]->vlan_tci[],set_field:4099->vlan_vid
actions=push_vlan:0x8100,move:reg0[0..11]->vlan_vid[0..11]
actions=push_vlan:0x8100,pop:vlan_tci,set_field:4099->vlan_vid
actions=set_field:4099->vlan_vid
actions=set_field:3->vlan_pcp
actions=push_vlan:0x8100,move:vlan_tci[0..2]->vlan_pcp
actions=load:4101->vlan_vid[]
actions=load:5->vlan_vid[0..11]
dl_vlan=5,actions=load:5->vlan_vid[0..11]
dl_vlan=5,actions=load:5->vlan_vid[]
actions=push_vlan:0x8100,set_field:5/0xfff->vlan_vid
actions=push_vlan:0x8100,set_field:0x1005/0x1fff->vlan_tci,pop_vlan
actions=load:1->vlan_tci[12],pop_vlan
actions=move:reg0[0..11]->vlan_vid[0..11]
actions=pop:vlan_vid
actions=push:vlan_vid
actions=set_field:0->vlan_tci
actions=set_field:0x5->vlan_tci
actions=set_field:0xf005->vlan_tci
actions=set_field:0xe005->vlan_tci
actions=load:0x1005->vlan_tci[]
actions=load:5->vlan_tci[0..11]
actions=load:5->vlan_tci[0..12]
dl_vlan=5/0xfff,actions=drop
dl_vlan=5/0xffff,actions=drop
dl_vlan[]=5,actions=drop
dl_vlan[0..11]=5,actions=drop
dl_vlan=5,vlan_pcp[]=3,actions=drop
dl_vlan=5,dl_vlan_pcp[]=3,actions=drop
vlan_vid[]=5,actions=drop
"""

CONNECTIONS = """
ct_state=+inv+trk,ip,actions=ct(commit)
ct_state=+inv,ip,actions=ct(commit)
ct_state=inv,ip,actions=ct(commit)
ct_state=+inv+trk,ip,actions=ct(table=3)
ct_state=+trk+inv,ip,actions=ct(commit,exec(load:1->ct_mark))
ct_state=-inv+trk,ip,actions=ct(commit)
ct_state=+inv,ip,actions=clone(ct(commit))
ct_state=+inv,ip,actions=resubmit(1,2,ct)
ct_state=+inv+est,ip,actions=ct(commit)
ct_state=+new+inv,ip,actions=ct(commit)
ct_state=+trk-inv,tcp,actions=move:ct_tp_src->reg0[0..15]
ct_state=+trk-inv,tcp,ct_nw_proto=6,actions=move:ct_tp_src->reg0[0..15]
ct_state=+new+trk,tcp,ct_nw_proto=6,actions=move:ct_tp_src->reg0[0..15]
ct_state=+new,ip,ct_nw_proto=6,actions=move:ct_tp_src->reg0[0..15]
ct_state=+trk,ip,actions=move:ct_nw_src->reg0
ct_state=+est,ip,actions=move:ct_nw_src->reg0
ct_state=+est+trk,ip,actions=move:ct_nw_src->reg0
ct_state=+est+trk,actions=move:ct_nw_src->reg0
ct_state=+rel+trk,ipv6,actions=move:ct_ipv6_src->xxreg0
ct_state=+trk-inv,ip,actions=move:ct_nw_proto->reg0[0..7]
ct_state=-inv,ip,actions=move:ct_nw_proto->reg0[0..7]
ct_state=+trk+inv,ip,actions=move:ct_nw_proto->reg0[0..7]
ct_state=+trk-inv,udp,actions=push:ct_tp_dst
ct_state=+trk-inv,actions=move:ct_tp_src->reg0[0..15]
ip,ct_state=+trk-inv,actions=ct(zone=ct_tp_src)
ip,ct_state=+trk-inv,actions=ct(commit,exec(move:ct_tp_src->ct_mark[0..15]))
ip,ct_state=+trk-inv,actions=output:ct_tp_src
ip,ct_state=+trk,actions=output:ct_tp_src
ct_state=+new,ct_nw_proto=6,actions=drop
ct_state=+new,ct_nw_src=1.2.3.4,actions=drop
ct_state=+new,ip,ct_nw_src=1.2.3.4,actions=drop
ct_state=+new,ip,ct_nw_proto=6,ct_tp_src=4,actions=drop
ct_state=+new,ip,ct_tp_src=4,actions=drop
ct_state=+new,ct_nw_proto=6,ct_tp_src=4,actions=drop
ct_state=+new,tcp,ct_tp_src=4,actions=drop
"""

LEARNED = """
ip,ct_state=+trk-inv,actions=learn(ct_nw_src=reg0)
ip,ct_state=+trk-inv,actions=learn(reg0=ct_nw_src)
ip,actions=learn(reg0=ct_nw_src)
tcp,actions=learn(ct_tp_src=reg0[0..15])
ip,ct_state=+trk-inv,actions=learn(ct_nw_proto=6)
ip,actions=learn(vlan_vid=0x1005)
ip,actions=learn(vlan_vid=5)
ip,actions=learn(vlan_vid=0x1005,vlan_pcp=3)
ip,actions=learn(vlan_pcp=3)
ip,actions=learn(load:5->vlan_vid)
ip,actions=learn(load:3->vlan_pcp)
ip,dl_vlan=3,actions=learn(vlan_vid,load:3->vlan_pcp)
ip,actions=learn(vlan_tci=0x1005,vlan_pcp=3)
ip,actions=learn(vlan_tci=0x1005,vlan_vid=3)
ip,actions=learn(vlan_tci[12]=1,vlan_pcp=3)
ip,actions=learn(vlan_vid[]=0x1005)
ip,actions=learn(vlan_vid[]=5)
ip,actions=learn(dl_vlan=5)
ip,actions=learn(dl_vlan=5,vlan_pcp=3)
ip,actions=learn(tcp_flags=0x12)
tcp,actions=learn(dl_type=0x800,nw_proto=6,tcp_flags=0x12)
tcp,actions=learn(dl_type=0x800,nw_proto=6,tcp_flags=+syn)
tcp,actions=learn(dl_type=0x800,nw_frag=first)
tcp,actions=learn(dl_type=0x800,nw_frag=0x3)
tcp,actions=learn(tun_flags=oam)
tcp,actions=learn(ct_zone=5,ct_mark=3,ct_label=0x5)
tcp,actions=learn(in_port=LOCAL)
tcp,actions=learn(in_port=5)
tcp,actions=learn(in_port_oxm=5)
tcp,actions=learn(eth_src=1:2:3:4:5:6)
tcp,actions=learn(load:1:2:3:4:5:6->eth_src)
tcp,actions=learn(load:10.0.0.1->reg0[])
tcp,actions=learn(nw_tos=4,eth_type=0x800)
tcp,actions=learn(eth_type=0x800,nw_tos=4)
tcp,actions=learn(eth_type=0x800,ip_dscp=4)
tcp,actions=learn(eth_type=0x800,nw_src=10.0.0.1/24)
tcp,actions=learn(eth_type=0x800,nw_src=10.0.0.1)
tcp,actions=learn(eth_type=0x86dd,ipv6_src=::1)
tcp,actions=learn(eth_type=0x86dd,ipv6_src[0..31]=ipv6_dst[32..63])
tcp,actions=learn(xxreg0=0x12345678901234567890)
tcp,actions=learn(xxreg0=1:2:3:4:5:6)
actions=learn(actset_output=1)
actions=learn(conj_id=1)
actions=learn(recirc_id=1)
actions=learn(dp_hash=1)
actions=learn(load:1->ct_mark)
actions=learn(load:1->in_port[])
actions=learn(load:1->tun_flags)
actions=learn(load:reg0[0..15]->tun_metadata0[0..15])
actions=learn(load:1->nw_src)
actions=learn(eth_type=0x800,load:1->nw_src)
actions=learn(tun_metadata0=5)
actions=learn(tun_metadata0[0..15]=5)
actions=learn(output:reg0[0..15])
actions=learn(output:3)
actions=learn(output:in_port)
"""

MASKS_AND_VALUES = """
arp,arp_op=300,actions=drop
arp,arp_op=256,actions=drop
arp,arp_op=255,actions=set_field:300->arp_op
arp,actions=load:300->arp_op[]
arp,actions=load:3->arp_op[0..7]
arp,arp_op=0x3/0xff,actions=drop
mpls,mpls_tc=5/0xff,actions=drop
mpls,mpls_label=5/0xffffffff,actions=drop
mpls,mpls_label=5/0xfffff,actions=drop
mpls,mpls_label=5/0,actions=drop
ip,ip_dscp=5/0x3f,actions=drop
ip,ip_dscp=5/0xff,actions=drop
ip,nw_tos=4/0xff,actions=drop
ip,nw_tos=4/0xfc,actions=drop
ip,nw_ecn=1/3,actions=drop
in_port=1/0xffff,actions=drop
in_port=1/1,actions=drop
in_port_oxm=1/0xffffffff,actions=drop
in_port[]=1,actions=drop
in_port[0..15]=1,actions=drop
in_port_oxm[]=1,actions=drop
eth_type=0x800/0xffff,actions=drop
eth_type[]=0x800,actions=drop
ip,nw_proto=6/0xff,actions=drop
ip,nw_ttl=6/0xff,actions=drop
packet_type=(0,16),actions=drop
packet_type=(2,16),actions=drop
packet_type=(1,16),actions=drop
packet_type=(0,0),actions=drop
packet_type=(3,70000),actions=drop
packet_type=0x10800,actions=drop
tcp,tcp_flags=0x200,actions=drop
tcp,tcp_flags=0x200/0x200,actions=drop
tcp,tcp_flags=0xfff/0xfff,actions=drop
tcp,tcp_flags=2/0xfff,actions=drop
tcp,tcp_flags=0x1000,actions=drop
tcp,tcp_flags=+[200],actions=drop
mpls,actions=set_field:5/0xff->mpls_tc
mpls,actions=set_field:5/7->mpls_tc
mpls,actions=set_field:5/0xffffffff->mpls_label
ip,actions=set_field:5/0xff->nw_ttl
ip,actions=set_field:4/0xff->nw_tos
ip,actions=set_field:4/0x3f->ip_dscp
ip,actions=set_field:4/0xff->ip_dscp
dl_type=0x894f,actions=set_field:4/0xff->nsh_ttl
dl_type=0x894f,actions=set_field:4->nsh_ttl
dl_type=0x894f,actions=load:4->nsh_ttl[]
dl_type=0x894f,actions=load:1->nsh_ttl[0]
dl_type=0x894f,actions=load:4->nsh_spi[]
dl_type=0x894f,actions=load:4->nsh_si[0..3]
dl_type=0x894f,actions=load:4->nsh_flags[0..3]
actions=set_field:1/3->tun_flags
actions=set_field:1/1->tun_flags
actions=set_field:oam/1->tun_flags
actions=set_field:0/1->tun_flags
actions=set_field:0x1/0x3->tun_erspan_ver
actions=set_field:0x1/0x3->tun_erspan_hwid
actions=set_field:0x1/0x3->tun_erspan_idx
actions=load:1->tun_erspan_ver[0..1]
ipv6,ipv6_src=2001::/ffff::,actions=drop
ipv6,ipv6_src=2001::/7f00::,actions=drop
ipv6,ipv6_src=2001::/0::1,actions=drop
ipv6,ipv6_src=2001::/::1,actions=drop
ipv6,ipv6_src=2001::/1::,actions=drop
actions=set_field:2001::/ffff::->tun_ipv6_src
"""

ONE_PLACE_FOR_TWO = """
icmp6,icmp_type=135,tcp_flags=+syn-ack,actions=drop
icmp6,icmp_type=135,tcp_flags=0x200,actions=drop
icmp6,icmp_type=135,nd_options_type=1,tcp_flags=+ack,actions=drop
icmp6,icmp_type=135,tcp_flags=+ack,nd_options_type=1,actions=drop
tcp,nd_options_type=3,actions=drop
tcp6,tcp_flags=+syn,nd_options_type=3,actions=drop
tcp,nd_options_type=3,tcp_flags=+ack,actions=drop
icmp,tp_src=0x89/0x8b,actions=drop
icmp,tp_src=0/7,actions=drop
icmp,icmp_type=4,tp_src=3/7,actions=drop
icmp,tp_src=3,icmp_type=4,actions=drop
icmp6,tp_dst=0x105/0x107,actions=drop
arp,nw_src=1.1.1.1,arp_spa=2.2.2.2,actions=drop
arp,arp_spa=2.2.2.2,nw_src=1.1.1.1,actions=drop
packet_type=(1,0x806),arp_tpa=10.11.12.13,actions=drop
packet_type=(1,0x800),nw_proto=1,icmp_type=3,actions=drop
ct_nw_proto=0,actions=drop
ct_nw_proto=6,actions=drop
ip,ct_state=+trk+est,ct_nw_proto=0,ct_tp_src=0,actions=drop
arp,arp_spa=10.0.0.1,nw_src[0..7]=5,actions=drop
arp,nw_src[0..7]=5,arp_spa=10.0.0.1,actions=drop
arp,arp_spa=10.0.0.1,nw_src[0..7]=5,arp_spa[8..15]=6,actions=drop
arp,nw_src=10.0.0.0/24,arp_spa[0..7]=5,actions=drop
ip,arp_spa=10.0.0.1,nw_src[0..7]=5,actions=drop
icmp6,icmp_type=136,tp_src[7..15]=1,actions=drop
icmp6,icmp_type=136,NXM_OF_UDP_SRC[7..15]=289,actions=drop
icmp,icmp_type=8,tp_src[0..1]=1,actions=drop
icmp,icmp_type=8,tp_src[7..15]=1,actions=drop
tcp,icmp_type=8,tp_src[0..1]=1,actions=drop
icmp6,icmp_type=135,icmp_code=0,nd_sll=1:2:3:4:5:6,arp_sha[0..7]=1,actions=drop
icmp6,icmp_type=136,icmp_code=0,nd_options_type=2,tcp_flags[0..2]=1,actions=drop
tcp,nd_options_type=2,tcp_flags[0..2]=1,actions=drop
tun_metadata0,tun_metadata0,actions=drop
tun_metadata4=1,tun_metadata4,actions=drop
tun_metadata4,tun_metadata4[100]=1,actions=drop
tun_metadata4=,tun_metadata4,actions=drop
NXM_NX_TUN_METADATA0[]=4,tun_metadata0=5,actions=drop
"""

CARRIED_BY_WORD = """
ip,vlan_tci=0x15d,dl_vlan=4,actions=drop
ipv6,vlan_tci=0x100/0x5500,dl_vlan_pcp=0,actions=drop
tcp,icmpv6_type=1,vlan_tci=0x2c0f,actions=drop
tcp,icmp_type=1,vlan_tci=0x2c0f,actions=drop
in_port_oxm=1,vlan_tci=0x2c0f,actions=drop
reg0=5,reg0=0/0,vlan_tci=0x2c0f,actions=drop
reg0=0/0,vlan_tci=0x2c0f,actions=drop
tcp,sctp_src=5,vlan_tci=0x2c0f,actions=drop
dl_src=1:2:3:4:5:6/1:0:0:0:0:0,dl_src=1:2:3:4:5:6,vlan_tci=0x2c0f,actions=drop
ip,nw_src=1.2.3.4/1.0.0.4,nw_src=1.2.3.4,vlan_tci=0x2c0f,actions=drop
vlan_tci=5/0xfff,vlan_tci=0x2c0f,actions=drop
ip,nw_ecn=1,nw_tos=4,vlan_tci=0x2c0f,actions=drop
vlan_vid=0x1005,vlan_tci=0x2c0f,actions=drop
"""

LONG_OPTIONS = """
tun_metadata1[991]=1,tun_metadata2[991]=1,tun_metadata3[63]=1,actions=drop
tun_metadata1[991]=1,tun_metadata2[991]=1,tun_metadata3[64]=1,actions=drop
tun_metadata3[63]=1,tun_metadata1[991]=1,tun_metadata2[991]=1,tun_metadata4,actions=drop
tun_metadata3[63]=1,tun_metadata1[991]=1,tun_metadata2[991]=1,tun_metadata4=0,actions=drop
tun_metadata3[63]=1,tun_metadata1[991]=1,tun_metadata2[991]=1,tun_metadata4=0x001,actions=drop
tun_metadata1=1/0xff0000,tun_metadata2[991]=1,tun_metadata3[991]=1,tun_metadata4[39]=1,actions=drop
tun_metadata1=1/0xff000000,tun_metadata2[991]=1,tun_metadata3[991]=1,tun_metadata4[39]=1,actions=drop
"""

SIGNS = """
xxreg1=-0x3ca8af9f9466072a84f307bc39032a5,actions=drop
xxreg1=+0x3ca8af9f9466072a84f307bc39032a5,actions=drop
xxreg1=-0xffffffffffffffff,actions=drop
xxreg1=-0x10000000000000000,actions=drop
xxreg1=+0xffffffffffffffff,actions=drop
reg0=-017,actions=drop
reg0=+017,actions=drop
xreg0=-017,actions=drop
table=+18,actions=+5
table=+012,actions=goto_table:+19
table=++18,actions=drop
table=+0x12,actions=drop
table=+256,actions=drop
table=+,actions=drop
in_port=+5,actions=output:+65534
in_port=+012,actions=set_field:+5->in_port
in_port=+0x12,actions=drop
in_port="+5",actions=drop
actions=resubmit(+1,+18)
actions=resubmit(,+256)
actions=enqueue:+1:5
actions=bundle(eth_src,0,hrw,ofport,members:+7,Local)
actions=learn(table=+18)
actions=+4294967294
actions=+LOCAL
actions=++1
actions=+
"""

PRINTED_SHORT = """
tun_metadata1=1,tun_metadata4,actions=drop
tun_metadata4,tun_metadata1=1,tun_metadata3[9]=0,actions=drop
tun_metadata4=0/0,tun_metadata5=1,ip,actions=drop
tun_metadata1=,ip,actions=drop
recirc_id=1,tun_metadata1,tun_metadata0=5,dl_type=0x1234,nw_proto=6,actions=drop
tun_erspan_ver=0,actions=drop
tun_erspan_ver=1,tun_erspan_idx=0x5/0xff,actions=drop
tun_erspan_ver=2,tun_erspan_dir=0,tun_erspan_hwid=1/1,actions=drop
tun_erspan_ver=2,tun_erspan_idx=3,actions=drop
tun_erspan_hwid=3,actions=drop
tun_gbp_flags=4/7,actions=drop
tun_gtpu_flags=1/5,tun_gtpu_msgtype=0,actions=drop
dl_type=0x894f,nsh_c1=5,actions=drop
dl_type=0x894f,nsh_mdtype=1,nsh_c1=4/5,actions=drop
tun_metadata0=0x5/0xff,actions=drop
tun_metadata0=0x5/0xff00,actions=drop
tun_metadata0[0..6]=5,actions=drop
actions=encap(nsh(md_type=2,tlv(0x1000,0,0x00ff01)))
actions=encap(nsh(md_type=0x2,tlv(0x1,0,0x00)))
actions=learn(ct_state=0x20,packet_type=(0,0),packet_type=(1,0x800))
actions=learn(limit=5,reg0=reg1)
actions=sample(probability=1,sampling_port=NONE)
udp,actions=dec_ttl(0),dec_ttl(),dec_ttl
cookie=-1,actions=drop
xreg0=-1,actions=set_queue:-1
nw_frag[0]=0,ip,actions=drop
"""

TAGS_BY_VERSION = """
vlan_tci=0x1c9,actions=drop
vlan_tci=0x2005/0xffff,actions=drop
vlan_tci=0xe000/0xe000,actions=drop
vlan_tci=0x3001/0x3001,actions=drop
vlan_tci=0x2000/0xf000,actions=drop
vlan_tci=0/0x1fff,actions=drop
vlan_tci[12]=0,actions=drop
vlan_vid=0xae,actions=drop
vlan_vid=0,actions=drop
udp6,vlan_vid=8,actions=drop
reg0=1,vlan_tci=0x1c9,actions=drop
packet_type=(1,0x800),actions=mod_vlan_vid:5
packet_type=(1,0x800),actions=set_vlan_pcp:5
packet_type=(1,0x800),actions=mod_dl_src:00:11:22:33:44:55
packet_type=(1,0x800),actions=write_actions(mod_dl_src:00:11:22:33:44:55)
udp,actions=set_vlan_vid:0,load:1->vlan_vid[10..11]
ct_state=+dnat,actions=resubmit(,105,ct)
ct_state=+inv+snat,actions=move:ct_nw_src->reg0
ip,ct_state=+trk+dnat,ct_nw_src=1.1.1.1,actions=drop
ip,actions=write_actions(mod_tp_dst:15)
actions=set_field:LOCAL->in_port_oxm
udpactions=drop
ip,action1=drop
actions=bundle(nw_src,0,hrw,,ofport,members:[1,2)
actions=bundle(nw_src,0,hrw,ofport,members:CONTROLLER)
actions=output:"LOCAL"
actions=decap(packet_type(ns=1))
actions=multipath(nw_src,0,hrw,14,0,reg14[],x)
"""

GROUPS = """
group_id=1,type=select,selection_method=hash,fields(eth_dst=26:c3:de:63:29:c2/ff:ff:ff:ff:ff:ff),bucket=drop
group_id=1,type=select,selection_method=hash,fields(eth_dst=26:c3:de:63:29:c2/ff:ff:ff:ff:ff:00),bucket=drop
group_id=1,type=select,selection_method=hash,fields(ip_dst=1.2.3.4/32),bucket=drop
group_id=1,type=select,selection_method=hash,fields(reg0=5/0xffffffff),bucket=drop
group_id=1,type=select,selection_method=hash,fields(ipv6_label=5/0xfffff),bucket=drop
group_id=1,type=select,selection_method=hash,fields(ct_state=8/0xffffffff),bucket=drop
group_id=1,type=select,selection_method=hash,fields(actset_output=NONE),bucket=drop
group_id=1,type=select,selection_method=hash,fields(actset_output=LOCAL),bucket=drop
group_id=1,type=all,bucket=actions=output:1,check_pkt_larger(39)->reg2[5]
group_id=1,type=all,bucket=actions=check_pkt_larger(39)->reg2[5],output:1
group_id=1,type=all,buckets=drop
group_id=1,type=allbucket=drop
group_id=1,type=all,bucket=
group_id=1,type=select,bucket=weight:5
group_id=1,type=ff,bucket=watch_port:LOCAL,actions=drop
group_id=1,type=ff,bucket=watch_port:ANY,watch_group:3,actions=drop
group_id=1,type=ff,bucket=watch_group:0xffffffff,actions=drop
group_id=1,type=all,bucket=watch_port:3,actions=drop
group_id=1,type=select,bucket=watch_port:3,actions=drop
group_id=1,type=select,selection_method=hash,fields(nsh_np=4)
group_id=1,type=select,selection_method=hash,fields(nsh_np=0xff)
group_id=1,type=select,selection_method=hash,fields(ip_src=255.255.0.0/16)
group_id=1,type=select,selection_method=hash,fields(ct_state=+trk)
group_id=1,type=select,selection_method=hash,fields(ip_dscp=0x3f,ip_src)
group_id=1,type=select,selection_method=hash,fields=ip_dscp=0xff
group_id=1,type=all,bucket=actions=encap(nsh)
"""


@pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="openvswitch-common is not installed")
def test_each_group_is_taken_or_refused_as_ovs_ofctl_does() -> None:
    """In OpenFlow 1.0, 1.3 and 1.5."""
    protocols: tuple[Protocol, ...] = ("OpenFlow10", "OpenFlow13", "OpenFlow15")
    jobs = [("group", line, protocol) for line in GROUPS.split() for protocol in protocols]
    assert [str(difference) for difference in compare(jobs)] == []


@pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="openvswitch-common is not installed")
@pytest.mark.parametrize(
    "texts",
    [
        VLAN_TAGS, CONNECTIONS, LEARNED, MASKS_AND_VALUES, ONE_PLACE_FOR_TWO, PRINTED_SHORT,
        TAGS_BY_VERSION, LONG_OPTIONS, SIGNS, CARRIED_BY_WORD,
    ],
)  # fmt: skip
def test_each_flow_is_taken_or_refused_as_ovs_ofctl_does(texts: str) -> None:
    """In OpenFlow 1.0, 1.3 and 1.5: the same canonical form, or refused by both."""
    protocols: tuple[Protocol, ...] = ("OpenFlow10", "OpenFlow13", "OpenFlow15")
    jobs = [("flow", line, protocol) for line in texts.split() for protocol in protocols]
    assert [str(difference) for difference in compare(jobs)] == []


@pytest.mark.parametrize("field", ["dl_vlan", "dl_vlan_pcp", "tun_ttl", "tun_tos", "skb_priority"])
def test_fields_without_a_name_in_openflow_are_not_written(field: str) -> None:
    """Of set_field:3->dl_vlan ovs-ofctl makes set_field:3->in_port; for us it is an error."""
    for action in ("set_field:3->%s", "load:3->%s[]", "move:reg0[0..2]->%s[0..2]", "push:%s"):
        with pytest.raises(InputError) as caught:
            parse_flow("ip,dl_vlan=5,actions=" + action % field)
        assert [d.code for d in caught.value.diagnostics] == ["unsendable-field"]


@pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="openvswitch-common is not installed")
@pytest.mark.parametrize(
    "actions",
    [
        "write_actions(output:2)", "output:1,write_actions(output:2)", "output:1,clear_actions",
        "set_field:1:2:3:4:5:6/ff:ff:00:00:00:00->eth_src", "set_field:5/0xff->tcp_dst",
        "clone(set_field:10.0.0.0/8->ip_dst)", "set_field:5/0xff->reg0", "load:5->tcp_dst[0..7]",
        "push_vlan:0x8100,clone(output:1)", "meter:1,clone(output:1),output:2",
        "set_field:1:2:3:4:5:6->eth_src", "output:1,goto_table:3", "clone(set_field:80->tcp_dst)",
    ],
)  # fmt: skip
def test_what_openflow_10_leaves_out_of_actions_is_known(actions: str) -> None:
    """What ovs-ofctl sends in OpenFlow 1.0 means the same, unless we say that it is lost."""
    flow = parse_flow(f"tcp,actions={actions}")
    sent = parse_flow(ask_ovs("flow", f"tcp,actions={actions}", "OpenFlow10").canonical or "")
    same = one_form(sent.actions) == one_form(flow.actions)
    assert same == (lost_in_10(flow.actions) is None)
